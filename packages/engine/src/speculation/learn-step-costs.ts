import type { LoadedModel } from '../model.ts';
import { LearntStepCosts, type StepCosts } from './step-costs.ts';

/** `prompt_lookup`: drafts where they pay; `auto`: that, with models whose lone steps take long. */
export type Speculation = 'auto' | 'prompt_lookup' | 'none';

/**
 * With `auto` nothing is drafted when a lone step takes fewer milliseconds. Choosing a draft costs some 15 µs a step, and the plain
 * step after one, whose weights a draft has driven out of the caches, 0.2 ms: of a step this long less than what an answer may lose to
 * drafts.
 */
const autoStepMs = 10;
/** As deep as attention is looked at; beyond, it costs in proportion. */
const depthMax = 1024;
/** The fastest of some counts, since other programs may want the cores. When time is up, one has to do. */
const repeats = 3;
const budgetMs = 100;
/**
 * Columns are taken to cost no more than this share of as many lone ones, whatever was measured: other programs may have had the cores, and
 * a wrong hope is corrected by the first drafts.
 */
const hope = 0.6;
/** Tokens of the step with a draft that is measured. */
const width = 8;
/** Of the cache's places, for as long as it is measured. */
const sequence = 'step costs';
/** Nothing is drafted. */
const unknownCosts: StepCosts = { costOf: () => Infinity, observe: () => undefined };

/** Undefined: nothing is drafted, and nothing looked up. */
export function stepCostsFor(model: LoadedModel, speculation: Speculation): StepCosts | undefined {
  return speculation === 'none' ? undefined : learnStepCosts(model, speculation === 'auto' ? autoStepMs : 0);
}

/**
 * What steps of a model cost, estimated from two steps of one token, one with nothing before it and one with many, from one of several,
 * and from what products cost by their number of columns; then learnt. Takes some 30 ms with a small model, six steps with a large one.
 * Undefined where a lone one takes less than `stepMsMin` milliseconds. Nothing else may use the model meanwhile.
 */
export function learnStepCosts(model: LoadedModel, stepMsMin = 0): StepCosts | undefined {
  const { runner, cache, info } = model;
  const plainProducts = runner.costOf(1, 'decode');
  const depth = Math.min(depthMax, info.contextLength, cache.maxSequenceTokens) - 1;
  // A place without a prompt: nobody looks for one, and what is counted of prompts is clients'.
  const isPlaced =
    Number.isFinite(plainProducts) &&
    cache.acquire({ sequence, tokens: new Int32Array(), promptLength: 0, scope: sequence, spareTokens: 0 }) !== undefined;
  // A lone step whose sums are not those of larger steps, or a cache without room: nothing is drafted.
  if (!isPlaced) return unknownCosts;
  try {
    if (!cache.reserve(sequence, depth)) return unknownCosts;
    const endsAt = performance.now() + budgetMs;
    const shallow = fastest(() => runner.decode(Int32Array.of(0), Int32Array.of(0)), endsAt);
    if (shallow < stepMsMin) return undefined;
    const deep = fastest(() => runner.decode(Int32Array.of(0), Int32Array.of(depth - 1)), endsAt);
    const several = fastest(() => runner.verify(new Int32Array(width), Int32Array.of(0), width), endsAt);
    return estimateSteps(
      { shallow, several, perKey: Math.max(0, deep - shallow) / depth },
      (columns, isPlain) => runner.costOf(columns, isPlain ? 'decode' : 'verify') / plainProducts,
    );
  } finally {
    cache.release(sequence);
  }
}

/**
 * In milliseconds: a lone step with nothing before it (`shallow`), one of 8 tokens (`several`), and what each key adds. `productsOf`:
 * what products cost by number of columns, against those of a lone step, `isPlain`: of a decode step, which may be padded; not finite
 * where their sums are unlike, and then the step's cost is not either. The measured step bounds what products seem to cost: fewer
 * tokens cost no more than it, more cost no more each.
 */
export function estimateSteps(
  { shallow, several, perKey }: { readonly shallow: number; readonly several: number; readonly perKey: number },
  productsOf: (columns: number, isPlain: boolean) => number,
): StepCosts {
  const perProducts = several / productsOf(width, false);
  if (!(perProducts > 0 && Number.isFinite(perProducts))) return unknownCosts;
  const severalOf = (columns: number, isPlain: boolean) => {
    const products = productsOf(columns, isPlain);
    return Number.isFinite(products)
      ? Math.min(products * perProducts, several * Math.max(1, columns / width), columns * hope * shallow)
      : Infinity;
  };
  return new LearntStepCosts((columns, keys, isPlain) => (columns === 1 ? shallow : severalOf(columns, isPlain)) + keys * perKey);
}

/** Milliseconds. Done once more before, since a shape's first step builds its graph. */
function fastest(work: () => unknown, endsAt: number): number {
  work();
  let least = Infinity;
  for (let run = 0; run < repeats && (run === 0 || performance.now() < endsAt); run += 1) {
    const since = performance.now();
    work();
    least = Math.min(least, performance.now() - since);
  }
  return least;
}
