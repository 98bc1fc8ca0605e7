/** The same statistics as the replay's report: one definition of a quantile and of an interval. */
export { createRandom, estimateMedian, estimateRatio, median, quantile, type Estimate, type Random } from '@open-autoglm/statistics';
