import { defaultHome } from '@open-autoglm/engine';
import { openEncoder, type Encoder } from '@open-autoglm/engine/encoder';
import { resolveModel } from '@open-autoglm/engine/models';
import { costOf, decideBatch, learn, noCosts, type BatchCost } from '@open-autoglm/gateway/parts';
import { createRandom } from '@open-autoglm/statistics';
import { changingArrivals, highestRate, quantile, replayBatches, type Batcher, type Serve } from '../batching/replay-batches.ts';
import { interleave } from '../harness/interleave.ts';
import { figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import type { Suite } from './suite.ts';

/** As the embedding process has them. */
const [poll, passTokens] = [0, 512];
const sizeMax = 32;
/** Calm, a day's load, a wave, and calm again. */
const phases = [0.3, 1, 0.5, 2, 0.3, 1.5] as const;
const phaseMs = 1000;
/** Each costs as much time as the arrivals last. */
const halvings = 5;
/** A guess costs nothing: static batching is tuned on so many arrivals, and closer. */
const [tuningSeeds, tuningHalvings] = [5, 10];
/** What static batching is tuned over. */
const sizes = [2, 4, 8, 16, 32] as const;
const timeoutsMs = [1, 2, 5, 10, 20] as const;
const sentence = '明天下午三点在国贸店洗车，请帮我预约一位技师，顺便检查轮胎和雨刮器，谢谢。如果三点没有空位，四点以后也可以。';

/** Passages of one sentence, of 6 to 37 characters: what people look for is short. */
const texts = Array.from({ length: 512 }, (_, index) => sentence.slice(index % 7, (index % 7) + 6 + ((index * 11) % 32)));

const single: Batcher = { name: 'one at a time', decide: () => ({ send: 1 }) };

function staticBatcher(size: number, timeoutMs: number): Batcher {
  return {
    name: `${size} texts or ${timeoutMs} ms`,
    decide: (waiting, firstCameAtMs, nowMs) => (waiting >= size || nowMs >= firstCameAtMs + timeoutMs ? { send: Math.min(size, waiting) } : { untilMs: firstCameAtMs + timeoutMs }),
  };
}

/** The policy of the gateway, where the server does one batch after another: when it is free, nothing runs. */
function dynamicBatcher(): Batcher {
  return {
    name: 'dynamic',
    decide(waiting, firstCameAtMs, nowMs) {
      const { send } = decideBatch({ waiting, waitedMs: nowMs - firstCameAtMs, running: 0, arrivals: 0, cost: undefined }, { sizeMax, timeoutMs: 2 });
      return { send };
    },
  };
}

/** Texts a second that are embedded within a bound on p99 while the load changes: dynamic batching against one at a time and the best static batching. */
export const batchingSuite: Suite = {
  name: 'batching',
  description: 'embeddings by bge-small-zh under changing load: dynamic batches against single texts and tuned static batches, at equal p99',
  // A round is a hundred seconds.
  runsMax: 3,
  async run({ model, threads, runs, onProgress }) {
    const { path: modelPath, source } = await resolveModel({ model: model === 'default' ? 'bge-small-zh' : model, home: defaultHome() });
    const encoder = openEncoder({ modelPath, id: 'bench', source, threads, poll, passTokens });
    const waker = new CoreWaker();
    try {
      const tokens = texts.map((text) => encoder.vocabulary.tokenizeWhole(text));
      const encode = encoding(encoder, tokens);
      onProgress('what a batch costs');
      const cost = measureCost(encode);
      const boundMs = 8 * (cost.fixedMs + cost.itemMs);
      const capacity = (1000 * sizeMax) / (cost.fixedMs + sizeMax * cost.itemMs);
      const guess: Serve = (_, count) => cost.fixedMs + count * cost.itemMs;
      const rateOf = (batcher: Batcher, serve: Serve, seed: number, steps = halvings) => highestRate((perSecond) => {
        const waits = replayBatches(changingArrivals(perSecond, phases, phaseMs, createRandom(seed)), batcher, serve);
        return quantile(waits, 0.99) <= boundMs;
      }, capacity / 8, capacity * 1.5, steps);
      const tuned = tune((batcher) => Array.from({ length: tuningSeeds }, (_, index) => rateOf(batcher, guess, 1000 + index, tuningHalvings)).reduce((sum, rate) => sum + rate, 0));
      onProgress(`static: ${tuned.name}; p99 within ${boundMs.toFixed(1)} ms`);
      let round = 0;
      const contenders = [dynamicBatcher(), single, tuned];
      // All contenders of a round have the same arrivals.
      const measured = await interleave(contenders.map((batcher) => async () => rateOf(batcher, encode, 2 + Math.floor(round++ / contenders.length))), { runs, warmups: 0, settle: () => waker.wake() });
      const [ours = [], one = [], fixed = []] = measured;
      return {
        settings: { model: source, threads, runs, 'p99 bound ms': Number(boundMs.toFixed(2)), 'fixed ms a batch': Number(cost.fixedMs.toFixed(3)), 'ms a text': Number(cost.itemMs.toFixed(3)), 'tuned static': tuned.name, 'largest batch': sizeMax },
        figures: [
          figure({ name: 'dynamic', unit: 'texts/s', samples: ours, reference: { name: 'one at a time', samples: one } }),
          figure({ name: 'dynamic', unit: 'texts/s', samples: ours, reference: { name: tuned.name, samples: fixed }, goal: { atLeast: 1.3 } }),
        ],
        notes: [
          'The largest mean rate of arrivals at which p99 stays within eight times a lone text. The load changes by 6.7 times within a second; all have the same arrivals.',
          'Every batch is encoded for real, and time passes as that takes; waiting takes none. Static batching is tuned for these arrivals, with the costs measured before.',
        ],
      };
    } finally {
      await waker.close();
      encoder.close();
    }
  },
};

/** Encodes these texts as the engine does, in passes, and says how long it took. */
function encoding(encoder: Encoder, tokens: readonly (readonly number[])[]): Serve {
  return (from, count) => {
    const batch = Array.from({ length: count }, (_, index) => tokens[(from + index) % tokens.length] as readonly number[]).toSorted((a, b) => a.length - b.length);
    const since = performance.now();
    let pass: (readonly number[])[] = [];
    let room = passTokens;
    for (const text of batch) {
      if (text.length > room) {
        encoder.encode(pass);
        [pass, room] = [[], passTokens];
      }
      pass.push(text);
      room -= text.length;
    }
    encoder.encode(pass);
    return performance.now() - since;
  };
}

function measureCost(encode: Serve): BatchCost {
  let costs = noCosts;
  for (let round = 0; round < 12; round += 1) {
    for (const size of [1, 2, 4, 8, 16, sizeMax]) {
      const durationMs = encode(round * 17, size);
      // The first ones find neither memory nor compiled code.
      if (round >= 2) costs = learn(costs, size, durationMs);
    }
  }
  return costOf(costs) as BatchCost;
}

function tune(rateOf: (batcher: Batcher) => number): Batcher {
  const candidates = sizes.flatMap((size) => timeoutsMs.map((timeoutMs) => staticBatcher(size, timeoutMs)));
  return candidates.map((batcher) => ({ batcher, rate: rateOf(batcher) })).reduce((best, other) => (other.rate > best.rate ? other : best)).batcher;
}
