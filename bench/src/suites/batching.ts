import { defaultHome } from '@open-autoglm/engine';
import { openEncoder, type Encoder } from '@open-autoglm/engine/encoder';
import { resolveModel } from '@open-autoglm/engine/models';
import { costOf, decideBatch, learn, noCosts, type BatchCost } from '@open-autoglm/gateway/parts';
import { createRandom } from '@open-autoglm/statistics';
import {
  changingArrivals,
  highestRate,
  quantile,
  rateNear,
  replayBatches,
  replayStatic,
  type Batcher,
  type Serve,
  type StaticBatches,
} from '../batching/replay-batches.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type FigureInput } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import type { Suite } from './suite.ts';

/** As the embedding process has them. */
const [poll, passTokens] = [0, 512];
const sizeMax = 32;
/** Calm, a day's load, a wave, and calm again. */
const phases = [0.3, 1, 0.5, 2, 0.3, 1.5] as const;
const phaseMs = 1000;
const steady = phases.map(() => 1);
/** Each costs as much time as the arrivals last. */
const replaysMax = 4;
/** A guess costs nothing: it is made with many arrivals, and closely. */
const [guessSeeds, guessHalvings] = [5, 12];
/** What static batching is tuned over. */
const sizes = [2, 4, 8, 16, 32] as const;
const timeoutsMs = [1, 2, 5, 10, 20] as const;
const sentence = '明天下午三点在国贸店洗车，请帮我预约一位技师，顺便检查轮胎和雨刮器，谢谢。如果三点没有空位，四点以后也可以。';

/** Passages of one sentence, of 6 to 37 characters: what people look for is short. */
const texts = Array.from({ length: 512 }, (_, index) => sentence.slice(index % 7, (index % 7) + 6 + ((index * 11) % 32)));

const single: Batcher = { name: 'one at a time', decide: () => ({ send: 1 }) };

/** The policy of the gateway, where the server does one batch after another: when it is free, nothing runs. */
function dynamicBatcher(): Batcher {
  return {
    name: 'dynamic',
    decide(waiting, firstCameAtMs, nowMs) {
      const { send } = decideBatch(
        { waiting, waitedMs: nowMs - firstCameAtMs, running: 0, arrivals: 0, cost: undefined },
        { sizeMax, timeoutMs: 2 },
      );
      return { send };
    },
  };
}

/** A way to make batches, and milliseconds of each text under these arrivals. */
interface Contender {
  readonly name: string;
  readonly replay: (arrivalsMs: readonly number[], serve: Serve) => number[];
}

const dynamic: Contender = { name: 'dynamic', replay: (arrivals, serve) => replayBatches(arrivals, dynamicBatcher(), serve) };
const oneByOne: Contender = { name: single.name, replay: (arrivals, serve) => replayBatches(arrivals, single, serve) };

function staticBatches(batches: StaticBatches): Contender {
  return {
    name: `static, ${batches.size} texts or ${batches.timeoutMs} ms`,
    replay: (arrivals, serve) => replayStatic(arrivals, batches, serve),
  };
}

/**
 * Texts a second that are embedded within a bound on p99 while the load changes: dynamic batching against one at a time and static batches,
 * tuned for a steady load and for this one.
 */
export const batchingSuite: Suite = {
  name: 'batching',
  description:
    'embeddings by bge-small-zh under changing load: dynamic batches against single texts and tuned static batches, at equal p99',
  // A round is about a minute.
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
      const boundMs = boundOf(cost);
      const tunedSteady = tune(cost, steady);
      const tunedChanging = tune(cost, phases);
      const contenders = [dynamic, oneByOne, tunedSteady, tunedChanging];
      const guesses = contenders.map((contender) => guessRate(contender, cost, phases));
      onProgress(
        `${contenders.map(({ name }, index) => `${name}: about ${(guesses[index] as number).toFixed(0)}`).join(', ')} texts/s; p99 within ${boundMs.toFixed(1)} ms`,
      );
      let round = 0;
      const warnings = new Set<string>();
      // All contenders of a round have the same arrivals.
      const measured = await interleave(
        contenders.map(({ name, replay }, index) => async () => {
          const seed = 2 + Math.floor(round++ / contenders.length);
          const isKept = (perSecond: number) =>
            quantile(replay(changingArrivals(perSecond, phases, phaseMs, createRandom(seed)), encode), 0.99) <= boundMs;
          const { rate, truth } = rateNear(isKept, guesses[index] as number, replaysMax);
          if (truth !== 'here') warnings.add(`${name}: in ${replaysMax} replays a rate was not found; it is ${truth} what is told.`);
          return rate;
        }),
        { runs, warmups: 0, settle: () => waker.wake() },
      );
      const ours = measured[0] ?? [];
      const against = (index: number, name: string, goal?: FigureInput['goal']) =>
        figure({ name: 'dynamic', unit: 'texts/s', samples: ours, reference: { name, samples: measured[index] ?? [] }, goal });
      return {
        settings: {
          model: source,
          threads,
          runs,
          'p99 bound ms': Number(boundMs.toFixed(2)),
          'fixed ms a batch': Number(cost.fixedMs.toFixed(3)),
          'ms a text': Number(cost.itemMs.toFixed(3)),
          'static, tuned for a steady load': tunedSteady.name,
          'static, tuned for this load': tunedChanging.name,
          'largest batch': sizeMax,
        },
        figures: [
          against(1, oneByOne.name),
          against(2, 'static, tuned for a steady load', { atLeast: 1.3 }),
          against(3, 'static, tuned for this load'),
        ],
        notes: [
          'The largest mean rate of arrivals at which p99 stays within eight times a lone text, to a tenth. The load changes by 6.7 times within a second; all have the same arrivals.',
          'Static batches are sealed when they are full or their first text has waited for their timeout, whatever the server does, and are tuned with the costs measured before: for Poisson arrivals of one rate, and, knowing what comes, for the changing load itself.',
          'Every batch is encoded for real, and time passes as that takes; waiting takes none. No batches can give more than (fixed + a text) / a text times what single texts do.',
        ],
        warnings: [...warnings],
      };
    } finally {
      await waker.close();
      encoder.close();
    }
  },
};

function boundOf({ fixedMs, itemMs }: BatchCost): number {
  return 8 * (fixedMs + itemMs);
}

/** By what batches cost, without encoding any. */
function guessRate({ replay }: Contender, cost: BatchCost, load: readonly number[]): number {
  const guess: Serve = (_, count) => cost.fixedMs + count * cost.itemMs;
  const capacity = (1000 * sizeMax) / guess(0, sizeMax);
  const rateOf = (seed: number) =>
    highestRate(
      (perSecond) => quantile(replay(changingArrivals(perSecond, load, phaseMs, createRandom(seed)), guess), 0.99) <= boundOf(cost),
      capacity / 16,
      capacity * 1.5,
      guessHalvings,
    );
  return Array.from({ length: guessSeeds }, (_, index) => rateOf(1000 + index)).reduce((sum, rate) => sum + rate, 0) / guessSeeds;
}

/** Encodes these texts as the engine does, in passes, and says how long it took. */
function encoding(encoder: Encoder, tokens: readonly (readonly number[])[]): Serve {
  return (from, count) => {
    const batch = Array.from({ length: count }, (_, index) => tokens[(from + index) % tokens.length] as readonly number[]).toSorted(
      (a, b) => a.length - b.length,
    );
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

function tune(cost: BatchCost, load: readonly number[]): Contender {
  const candidates = sizes.flatMap((size) => timeoutsMs.map((timeoutMs) => staticBatches({ size, timeoutMs })));
  return candidates
    .map((contender) => ({ contender, rate: guessRate(contender, cost, load) }))
    .reduce((best, other) => (other.rate > best.rate ? other : best)).contender;
}
