import type { EngineStats, GeneratePart } from '@open-autoglm/protocol';
import { BucketCounter } from './bucket-counter.ts';

/** What one step did. */
export interface StepFacts {
  /** Sequences that decoded. */
  readonly decodingCount: number;
  /** Pieces of prompts that were read. */
  readonly promptCount: number;
  readonly outputs: readonly { readonly part: GeneratePart }[];
  /** When the step ended, in milliseconds of the engine's clock. */
  readonly endedAtMs: number;
}

export type StepCounts = Pick<EngineStats, 'promptTokens' | 'cachedTokens' | 'generatedTokens' | 'batchSize' | 'interTokenMs'>;

/** The batch sizes that are told apart. */
const batchSizes = [1, 2, 4, 8, 16, 32, 64, 128, 256];
/** Milliseconds: vLLM's bounds for the time between two tokens, continued downwards for small models. */
const interTokenMs = [
  0.5, 1, 2.5, 5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000, 2500, 5000, 7500, 10_000, 20_000, 40_000, 80_000,
];

/** Counts what the engine's steps bring, from the engine's start. Costs some additions a step. */
export class StepCounters implements StepCounts {
  promptTokens = 0;
  cachedTokens = 0;
  generatedTokens = 0;
  readonly batchSize = new BucketCounter(batchSizes);
  readonly interTokenMs = new BucketCounter(interTokenMs);
  /** The end of the step before; whoever decodes got a token then. */
  #endedAtMs = 0;

  add({ decodingCount, promptCount, outputs, endedAtMs }: StepFacts): void {
    if (decodingCount + promptCount > 0) this.batchSize.add(decodingCount + promptCount);
    let laterTokens = 0;
    for (const { part } of outputs) {
      if (part.type === 'text-delta') {
        this.generatedTokens += part.tokenCount;
        laterTokens += part.tokenCount;
      } else if (part.type === 'prompt-end') {
        this.promptTokens += part.promptTokens;
        this.cachedTokens += part.cachedTokens;
        laterTokens -= 1;
      }
    }
    // Where drafts were right, a sequence got several tokens in the time of one step: they share it.
    if (decodingCount > 0 && laterTokens > 0)
      this.interTokenMs.add(((endedAtMs - this.#endedAtMs) * decodingCount) / laterTokens, laterTokens);
    this.#endedAtMs = endedAtMs;
  }

  /** As they stand, not to change any more. */
  snapshot(): StepCounts {
    const { promptTokens, cachedTokens, generatedTokens, batchSize, interTokenMs: between } = this;
    return { promptTokens, cachedTokens, generatedTokens, batchSize: copyOf(batchSize), interTokenMs: copyOf(between) };
  }
}

function copyOf({ bounds, counts, sum }: BucketCounter): StepCounts['batchSize'] {
  return { bounds, counts: [...counts], sum };
}
