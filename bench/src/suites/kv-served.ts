import { request, type EngineContestant } from '../contestants/engine.ts';
import { figure, type Figure } from '../harness/report.ts';
import { blockTokens, fullBlocks, idealHitRate, readMooncake, traceBlockTokens, type MooncakeRequest } from './kv-blocks.ts';
import type { SuiteOptions } from './suite.ts';

/**
 * One conversation of so many: the first block decides, so that a prefix that is shared stays shared. About half a minute of reading on two
 * slow cores.
 */
const everyConversation = 80;
/** Of a prompt, that its end and an answer still fit behind: a longer one is cut there. */
const blocksMax = 60;

/**
 * Requests of Mooncake's trace read by the engine itself: how many of their blocks it had not to compute. Empty, with a note, where the
 * trace is absent.
 */
export function measureServed(
  { core, model }: EngineContestant,
  { onProgress }: SuiteOptions,
): { readonly figures: Figure[]; readonly notes: readonly string[] } {
  const trace = readMooncake();
  if (trace === undefined) return { figures: [], notes: ['The engine served no part of Mooncake’s trace: it is absent.'] };
  onProgress('trace served by the engine');
  const requests = trace.filter(({ hash_ids: [first = 0] }) => first % everyConversation === 0).map(shorten);
  const hitsBefore = model.cache.usage.hitTokens;
  for (const [index, { input_length: length, hash_ids: ids }] of requests.entries()) {
    const tokens = ids.flatMap((id) =>
      Array.from({ length: blockTokens }, (_, place) => tokenOf(id * blockTokens + place, model.vocabulary.size)),
    );
    // The end that fills no block is nobody else's.
    const end = Math.max(1, Math.round(((length % traceBlockTokens) * blockTokens) / traceBlockTokens));
    core.add(
      request(
        'served',
        [
          ...tokens,
          ...Array.from({ length: Math.min(end, blockTokens - 1) }, (_, place) =>
            tokenOf(-1 - index * blockTokens - place, model.vocabulary.size),
          ),
        ],
        1,
        'trace',
      ),
    );
    while (!core.idle) core.step();
  }
  const { hitTokens, capacityTokens } = model.cache.usage;
  const asked = requests.reduce((sum, { hash_ids: ids }) => sum + ids.length, 0);
  const found = (hitTokens - hitsBefore) / blockTokens;
  const cacheBlocks = capacityTokens / blockTokens;
  return {
    figures: [
      figure({
        name: `block hits, served by the engine, ${cacheBlocks} blocks`,
        unit: '%',
        samples: [(100 * found) / asked],
        reference: { name: 'ideal LRU', samples: [100 * idealHitRate(requests, cacheBlocks)] },
        goal: { atLeast: 0.98 },
      }),
    ],
    notes: [
      `Served by the engine: ${requests.length} requests of Mooncake’s trace, of every ${everyConversation}th conversation, ${asked} full blocks of ${blockTokens} tokens, at most ${blocksMax} each; prompts are read and one token is answered, one request after the other. Hits are those that the engine’s own cache counts.`,
    ],
  };
}

function shorten({ input_length: length, hash_ids: ids }: MooncakeRequest): MooncakeRequest {
  return { input_length: length, hash_ids: fullBlocks({ input_length: length, hash_ids: ids }).slice(0, blocksMax) };
}

/** Any token, the same for the same number; the multiplier is Knuth's, and spreads neighbours. */
function tokenOf(number: number, vocabularySize: number): number {
  return (Math.imul(number, 2654435761) >>> 0) % vocabularySize;
}
