import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BlockManager } from '@open-autoglm/engine/kv-blocks';
import { figure, type Figure, type Goal } from '../harness/report.ts';
import type { SuiteOptions } from './suite.ts';

const traces = fileURLToPath(new URL('../../../../shared/data/traces/', import.meta.url));
const [mooncake, azure] = ['mooncake-synthetic.jsonl', 'azure-conversation-2023.jsonl'].map((name) => path.join(traces, name)) as [
  string,
  string,
];
export const blockTokens = 64;
/** Tokens of a block in Mooncake's trace. */
export const traceBlockTokens = 512;
const cacheBlocks = [1000, 4000, 16_000] as const;
const memoryLimit = 512;
const memorySequences = 16;

/** What the block manager does with real traces; only counting, no model. Empty, with a note, where the traces are absent. */
export function measureBlocks({ onProgress }: SuiteOptions): { readonly figures: Figure[]; readonly notes: readonly string[] } {
  const requests = readMooncake();
  if (!requests || !existsSync(azure))
    return {
      figures: [],
      notes: [`Hit rate and memory were not counted: there are no traces in ${path.relative(process.cwd(), traces)}.`],
    };
  onProgress('block hit rate');
  const hitRates = cacheBlocks.map((blocks) =>
    figure({
      name: `block hits, ${blocks} blocks`,
      unit: '%',
      samples: [100 * hitRate(requests, blocks)],
      reference: { name: 'ideal LRU', samples: [100 * idealHitRate(requests, blocks)] },
      goal: { atLeast: 0.98 },
    }),
  );
  return {
    figures: [...hitRates, ...measureMemory(readLines<AzureRequest>(azure))],
    notes: [
      `Block hits: Mooncake’s synthetic trace (${requests.length} requests), scaled to ${blockTokens} tokens for each of its blocks of ${traceBlockTokens}, one request after the other, through the engine’s block manager alone: nothing is computed. The ideal is least recently used over the same full blocks, at no cost for chains or places.`,
      `Memory: requests of Azure’s conversation trace, ${memorySequences} at a time, each a token a step; the most that they held at once, against ${memorySequences} places of ${memoryLimit} tokens. “Scaled”: lengths divided so that the longest fits into a place, as places must. “Short”: those with at most ${memoryLimit} tokens, as they are. Nothing is shared.`,
    ],
  };
}

export interface MooncakeRequest {
  readonly input_length: number;
  readonly hash_ids: readonly number[];
}

interface AzureRequest {
  readonly prompt_tokens: number;
  readonly output_tokens: number;
}

/** `undefined` where it is absent. */
export function readMooncake(): MooncakeRequest[] | undefined {
  return existsSync(mooncake) ? readLines<MooncakeRequest>(mooncake) : undefined;
}

function readLines<T>(file: string): T[] {
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

/** The blocks of a request that are full: only these can be found. */
export function fullBlocks({ input_length: length, hash_ids: ids }: MooncakeRequest): readonly number[] {
  return ids.slice(0, Math.floor(length / traceBlockTokens));
}

function hitRate(requests: readonly MooncakeRequest[], blockCount: number): number {
  const manager = new BlockManager({ blockCount, blockTokens });
  let asked = 0;
  let found = 0;
  for (const request of requests) {
    const blocks = fullBlocks(request);
    const tokens = Int32Array.from(
      { length: blocks.length * blockTokens },
      (_, index) => blocks[Math.floor(index / blockTokens)] as number,
    );
    const known = manager.open({ sequence: 'request', tokens, promptLength: tokens.length, scope: '', spareTokens: 0 });
    if (known === undefined) throw new Error(`a request of ${blocks.length} blocks does not fit into ${blockCount}`);
    manager.commit('request', tokens, tokens.length);
    manager.release('request');
    asked += blocks.length;
    found += known / blockTokens;
  }
  return found / asked;
}

export function idealHitRate(requests: readonly MooncakeRequest[], blockCount: number): number {
  const kept = new Set<number>();
  let asked = 0;
  let found = 0;
  for (const request of requests) {
    const blocks = fullBlocks(request);
    found += blocks.filter((block) => kept.has(block)).length;
    asked += blocks.length;
    // The last of a prompt is the first to go: without it the others are still of use.
    for (const block of blocks.toReversed()) {
      kept.delete(block);
      kept.add(block);
    }
    for (const block of kept) {
      if (kept.size <= blockCount) break;
      kept.delete(block);
    }
  }
  return found / asked;
}

function measureMemory(requests: readonly AzureRequest[]): Figure[] {
  const lengths = requests.map(({ prompt_tokens: prompt, output_tokens: output }) => ({ prompt, end: prompt + output }));
  const scale = memoryLimit / Math.max(...lengths.map(({ end }) => end));
  const scaled = lengths.map(({ prompt, end }) => ({ prompt: Math.ceil(prompt * scale), end: Math.ceil(end * scale) }));
  const short = lengths.filter(({ end }) => end <= memoryLimit);
  const of = (name: string, sequences: readonly SequenceLength[], goal?: Goal) =>
    figure({
      name: `memory, ${memorySequences} sequences, ${name}`,
      unit: 'tokens',
      samples: [mostHeld(sequences)],
      reference: { name: 'static', samples: [memorySequences * memoryLimit] },
      goal,
    });
  return [of('scaled lengths', scaled, { below: 0.5 }), of('short requests', short)];
}

interface SequenceLength {
  readonly prompt: number;
  readonly end: number;
}

/** Tokens of the blocks that the sequences held at the worst moment. */
function mostHeld(waiting: readonly SequenceLength[]): number {
  const manager = new BlockManager({ blockCount: ((memorySequences + 1) * memoryLimit) / blockTokens, blockTokens });
  const running = new Map<string, { length: number; readonly end: number }>();
  let most = 0;
  for (let next = 0; next < waiting.length || running.size > 0;) {
    for (; running.size < memorySequences && next < waiting.length; next += 1) {
      const { prompt, end } = waiting[next] as SequenceLength;
      // In a scope of its own: nothing is shared here.
      manager.open({ sequence: `${next}`, tokens: new Int32Array(prompt), promptLength: prompt, scope: `${next}`, spareTokens: 0 });
      running.set(`${next}`, { length: prompt, end });
    }
    most = Math.max(most, manager.usage.usedTokens);
    for (const [id, sequence] of running) {
      sequence.length += 1;
      if (sequence.length >= sequence.end) {
        manager.release(id);
        running.delete(id);
      } else if (!manager.reserve(id, sequence.length + 1)) {
        throw new Error('the sequences hold more than their places would');
      }
    }
  }
  return most;
}
