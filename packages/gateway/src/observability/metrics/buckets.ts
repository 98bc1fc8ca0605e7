/**
 * Bounds of histograms. Those of vLLM (`vllm/v1/metrics/`) are kept and continued downwards, because a small model on a
 * processor nearby answers in less than their first; those of OpenTelemetry are as its GenAI conventions state them.
 */

/** Seconds, vLLM's for the time to the first token. */
export const firstTokenSeconds = [
  0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];

/** Seconds, vLLM's for a token after the first. */
export const tokenSeconds = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];

/** Seconds, vLLM's for whole requests and their parts. */
export const requestSeconds = [
  0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];

/** 1, 2, 5, 10 … tokens, as vLLM counts them up to the context's length; here up to a million. */
export const tokenCounts = [0, 1, 2, 3, 4, 5].flatMap((exponent) => [1, 2, 5].map((mantissa) => mantissa * 10 ** exponent));

export const choiceCounts = [1, 2, 5, 10, 20];

export const genAiRequestSeconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
export const genAiFirstTokenSeconds = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
export const genAiTokenSeconds = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];

/** Seconds of a pause of the garbage collector, as prom-client has them. */
export const gcSeconds = [0.001, 0.01, 0.1, 1, 2, 5];
