import { formatBytes } from '@open-autoglm/engine/bytes';
import type { MemoryNeed, QuantizedModel, TargetType, TextQuality } from '@open-autoglm/engine/quantize';
import { formatCount } from '../replay/report/text.ts';

export interface QuantizeReport {
  readonly file: string;
  readonly type: TargetType;
  readonly sizes: QuantizedModel;
  readonly memory: MemoryNeed;
  /** Absent when it was not asked for. */
  readonly quality?: readonly TextQuality[];
}

/** For people: some lines, with a newline at the end. */
export function formatReport({ file, sizes, memory, quality }: QuantizeReport, textName: string): string {
  const types = Object.entries(sizes.types)
    .map(([name, count]) => `${count} × ${name}`)
    .join(', ');
  const lines = [
    `wrote ${file}`,
    `size     ${formatBytes(sizes.sourceBytes)} → ${formatBytes(sizes.bytes)} (${(sizes.bytes / sizes.sourceBytes).toFixed(2)}×): ${types}`,
    `memory   about ${formatBytes(memory.weights + memory.kv)}: weights ${formatBytes(memory.weights)}, and KV cache ${formatBytes(memory.kv)} in f16 for a sequence of ${memory.contextLength.toLocaleString('en')} tokens`,
  ];
  if (quality) {
    lines.push(`quality  beside IN, on ${textName}, read after the token with which the model's texts begin:`);
    for (const { name, tokens, perplexity, divergence, sameTop } of quality) {
      lines.push(
        `  ${name}, ${formatCount(tokens, 'token')}: perplexity ${formatPerplexity(perplexity.source)} → ${formatPerplexity(perplexity.quantized)}, KL divergence ${divergence.mean.toFixed(4)} nats (99 % below ${divergence.p99.toFixed(3)}), same likeliest token ${(sameTop * 100).toFixed(1)} %`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

/** That of a model which was never trained has sixty digits. */
function formatPerplexity(value: number): string {
  return value < 1e6 ? value.toFixed(2) : value.toExponential(2);
}
