export { estimateMedian, estimateRatio, resample, type Estimate, type ResampleOptions } from './bootstrap.ts';
export { median, quantile, quantileOfSorted, quantileOfWeighted, toSorted } from './quantile.ts';
export { createRandom, type Random } from './random.ts';
