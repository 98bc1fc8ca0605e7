import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbeddingEngine } from '@open-autoglm/engine';
import { createRandom, quantile } from '@open-autoglm/statistics';
import { figure, type Figure } from '../harness/report.ts';

export interface LanesOptions {
  readonly model: string;
  readonly threads: number;
  readonly runs: number;
  readonly seconds: number;
  readonly texts: readonly string[];
  readonly onProgress: (text: string) => void;
}

/** Requests of the batch lane that are always there, and texts of each. */
const [batchRequests, batchTexts] = [8, 32];
/** Of what the model does with one text after another, real time asks for so much. */
const realtimeLoad = 0.2;
const never = new AbortController().signal;

type Engine = ReturnType<typeof startEmbeddingEngine>;

/** Who is there beside real time: nobody, a batch lane, or the same in real time. */
const companies = ['none', 'batch', 'realtime'] as const;
type Company = (typeof companies)[number];

interface Outcome {
  readonly p50: number;
  readonly p99: number;
  /** Texts a second of those that are always there. */
  readonly batchRate: number;
}

/** Single texts in real time at the times of a Poisson process, beside lists that are always there. */
export async function measureLanes({ model, threads, runs, seconds, texts, onProgress }: LanesOptions): Promise<Figure[]> {
  const engine = startEmbeddingEngine({ model, id: 'bench', threads, maxQueue: 100_000 });
  try {
    await engine.ready();
    const textMs = await measureText(engine, texts);
    const outcomes = new Map(companies.map((company): [Company, Outcome[]] => [company, []]));
    for (let run = -1; run < runs; run += 1) {
      const order = run % 2 === 0 ? companies : companies.toReversed();
      for (const company of order) {
        onProgress(
          `real time beside ${company === 'none' ? 'nobody' : company === 'batch' ? 'a batch lane' : 'the same lists in real time'}`,
        );
        const outcome = await runLoad(engine, company, { texts, seconds, gapMs: textMs / realtimeLoad, seed: run + 2 });
        if (run >= 0) outcomes.get(company)?.push(outcome);
      }
    }
    const samples = (company: Company, of: (outcome: Outcome) => number) => (outcomes.get(company) ?? []).map(of);
    const against = (
      name: string,
      unit: Figure['unit'],
      of: (outcome: Outcome) => number,
      company: Company,
      reference: string,
      goal?: Figure['goal'],
    ) => figure({ name, unit, samples: samples('batch', of), reference: { name: reference, samples: samples(company, of) }, goal });
    return [
      against('real time beside a full batch lane: p50', 'ms', ({ p50 }) => p50, 'none', 'beside nobody'),
      against('real time beside a full batch lane: p99', 'ms', ({ p99 }) => p99, 'none', 'beside nobody'),
      against('real time beside a full batch lane: p99', 'ms', ({ p99 }) => p99, 'realtime', 'without lanes', { below: 1 }),
      against('batch lane', 'texts/s', ({ batchRate }) => batchRate, 'realtime', 'without lanes', { atLeast: 0.85 }),
    ];
  } finally {
    await engine.close();
  }
}

async function measureText(engine: Engine, texts: readonly string[]): Promise<number> {
  const embed = (text: string, index: number) => engine.embed({ id: `warm-${index}`, inputs: [text] }, never);
  for (const [index, text] of texts.entries()) await embed(text, index);
  const since = performance.now();
  for (const [index, text] of texts.entries()) await embed(text, index);
  return (performance.now() - since) / texts.length;
}

interface Load {
  readonly texts: readonly string[];
  readonly seconds: number;
  /** Between two texts in real time, on average. */
  readonly gapMs: number;
  readonly seed: number;
}

async function runLoad(engine: Engine, company: Company, { texts, seconds, gapMs, seed }: Load): Promise<Outcome> {
  const random = createRandom(seed);
  const textOf = (index: number) => texts[index % texts.length] as string;
  // The first that fails ends the load: the reason that came first is kept.
  const over = new AbortController();
  const end = (why: unknown) => over.abort(why);
  let done = 0;
  const keepThere = async (place: number) => {
    for (let count = 0; !over.signal.aborted; count += 1) {
      const inputs = Array.from({ length: batchTexts }, (_, index) => textOf(place + count + index));
      await engine
        .embed({ id: `list-${place}-${count}`, inputs, lane: company === 'batch' ? 'batch' : 'realtime' }, over.signal)
        .then(() => (done += batchTexts), end);
    }
  };
  const lists = company === 'none' ? [] : Array.from({ length: batchRequests }, (_, place) => keepThere(place));
  const beganMs = performance.now();
  const singles: Promise<number>[] = [];
  for (let atMs = 0, count = 0; ; count += 1) {
    atMs -= gapMs * Math.log(1 - random());
    if (atMs > seconds * 1000) break;
    await sleep(Math.max(0, beganMs + atMs - performance.now()), undefined, { signal: over.signal }).catch(() =>
      over.signal.throwIfAborted(),
    );
    const dueMs = beganMs + atMs;
    // From when it was due: who asks late has waited.
    const single = engine.embed({ id: `single-${count}`, inputs: [textOf(count)] }, over.signal).then(() => performance.now() - dueMs);
    single.catch(end);
    singles.push(single);
  }
  const batchRate = (done / (performance.now() - beganMs)) * 1000;
  const latencies = await Promise.all(singles);
  over.signal.throwIfAborted();
  end(new Error('over'));
  await Promise.all(lists);
  return { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99), batchRate };
}
