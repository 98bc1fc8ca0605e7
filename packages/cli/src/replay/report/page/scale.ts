/** Where values lie on an axis, and where its marks are. */
export interface Scale {
  /** 0 … 1 within the range. */
  place(value: number): number;
  readonly ticks: readonly number[];
}

/** From 0 to a round number at or above `max`. */
export function linearScale(max: number, tickCount = 5): Scale {
  return stepped(max, niceStep((max > 0 ? max : 1) / tickCount));
}

/** The same with whole numbers as ticks. */
export function countScale(max: number): Scale {
  return stepped(max, Math.max(1, niceStep(Math.max(max, 1) / 5)));
}

function stepped(max: number, step: number): Scale {
  const top = Math.max(step, Math.ceil((max - step * 1e-9) / step) * step);
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, index) => index * step);
  return { place: (value) => clamp(value / top), ticks };
}

/** From `min` to `max`, which need not be round; both above 0. */
export function logScale(min: number, max: number): Scale {
  const low = Math.log10(min);
  const span = Math.max(Math.log10(max) - low, 1e-9);
  const marks = [1, 2, 5].flatMap((factor) => Array.from({ length: 32 }, (_, index) => factor * 10 ** (index - 16)));
  const inside = marks.filter((mark) => mark >= min * 0.999 && mark <= max * 1.001).sort((a, b) => a - b);
  const ticks = inside.length <= 7 ? inside : inside.filter((mark) => Number.isInteger(Math.round(Math.log10(mark) * 1e6) / 1e6));
  return { place: (value) => clamp((Math.log10(Math.max(value, Number.MIN_VALUE)) - low) / span), ticks };
}

/** Latencies: linear, unless the largest are so much larger that nothing else could be seen. */
export function latencyScale(values: readonly number[], center: number): Scale & { readonly isLog: boolean } {
  const positive = values.filter((value) => value > 0);
  const max = positive.reduce((highest, value) => Math.max(highest, value), 0);
  const min = positive.reduce((lowest, value) => Math.min(lowest, value), Infinity);
  if (max > center * 12 && min > 0) return { ...logScale(min * 0.9, max * 1.1), isLog: true };
  return { ...linearScale(max), isLog: false };
}

/** Seconds of a run, in marks that a clock has. */
export function timeScale(seconds: number): Scale {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];
  const step = steps.find((candidate) => seconds / candidate <= 6) ?? niceStep(seconds / 6);
  const end = Math.max(seconds, step);
  return { place: (value) => clamp(value / end), ticks: Array.from({ length: Math.floor(end / step) + 1 }, (_, index) => index * step) };
}

/** Share of requests, drawn so that each further 9 takes as much room: 50, 90, 99, 99.9 %. */
export function percentileScale(count: number): Scale {
  const nines = (share: number) => -Math.log10(Math.max(1 - share, 1e-12));
  const end = Math.max(1, Math.log10(Math.max(count, 1)));
  return {
    place: (share) => clamp(nines(share) / end),
    ticks: [0.5, 0.9, 0.99, 0.999, 0.9999].filter((share) => nines(share) <= end + 1e-9),
  };
}

function niceStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= raw * 0.999) ?? 10;
  return factor * power;
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
