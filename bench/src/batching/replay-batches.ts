/** A server that encodes one batch after another, under arrivals that are given: time passes as its batches take it, and no other way. */

/** Says what is done when the server is free: so many of those that wait now, or nothing before this moment. */
export interface Batcher {
  readonly name: string;
  decide(waiting: number, firstCameAtMs: number, nowMs: number): { readonly send: number } | { readonly untilMs: number };
}

/** How long a batch takes, by encoding it or by a guess. `from` is the first of its texts. */
export type Serve = (from: number, count: number) => number;

/** Milliseconds from each arrival to the end of its batch. */
export function replayBatches(arrivalsMs: readonly number[], batcher: Batcher, serve: Serve): number[] {
  const latencies: number[] = [];
  let nowMs = 0;
  let next = 0;
  let came = 0;
  while (next < arrivalsMs.length) {
    nowMs = Math.max(nowMs, arrivalsMs[next] as number);
    while (came < arrivalsMs.length && (arrivalsMs[came] as number) <= nowMs) came += 1;
    const decision = batcher.decide(came - next, arrivalsMs[next] as number, nowMs);
    if ('untilMs' in decision) {
      // Whoever comes sooner may change it.
      nowMs = Math.min(decision.untilMs, arrivalsMs[came] ?? Infinity);
      continue;
    }
    nowMs += serve(next, decision.send);
    for (let index = next; index < next + decision.send; index += 1) latencies.push(nowMs - (arrivalsMs[index] as number));
    next += decision.send;
  }
  return latencies;
}

/**
 * A batch is sealed when it is full or when its first text has waited so long, whatever the server does; sealed batches are encoded in
 * turn.
 */
export interface StaticBatches {
  readonly size: number;
  readonly timeoutMs: number;
}

/** As `replayBatches`, with static batches. */
export function replayStatic(arrivalsMs: readonly number[], { size, timeoutMs }: StaticBatches, serve: Serve): number[] {
  const latencies: number[] = [];
  let freeAtMs = 0;
  for (let first = 0; first < arrivalsMs.length;) {
    const closesAtMs = (arrivalsMs[first] as number) + timeoutMs;
    let next = first + 1;
    while (next < arrivalsMs.length && next - first < size && (arrivalsMs[next] as number) <= closesAtMs) next += 1;
    const sealedAtMs = next - first === size ? (arrivalsMs[next - 1] as number) : closesAtMs;
    freeAtMs = Math.max(freeAtMs, sealedAtMs) + serve(first, next - first);
    for (; first < next; first += 1) latencies.push(freeAtMs - (arrivalsMs[first] as number));
  }
  return latencies;
}

/** Poisson arrivals whose rate goes through the phases, each of this length, times the mean rate. */
export function changingArrivals(perSecond: number, phases: readonly number[], phaseMs: number, random: () => number): number[] {
  const mean = phases.reduce((sum, share) => sum + share, 0) / phases.length;
  const arrivals: number[] = [];
  for (const [index, share] of phases.entries()) {
    const gapMs = (1000 / perSecond) * (mean / share);
    const nextMs = (atMs: number) => atMs - Math.log(1 - random()) * gapMs;
    for (let atMs = nextMs(index * phaseMs); atMs < (index + 1) * phaseMs; atMs = nextMs(atMs)) arrivals.push(atMs);
  }
  return arrivals;
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/**
 * A rate at which the wait stays within the bound; `below` or `above`: the largest such rate was not reached, and is less or more than
 * this.
 */
export interface RateFound {
  readonly rate: number;
  readonly truth: 'here' | 'below' | 'above';
}

/**
 * The largest rate at which the wait stays within the bound, by steps of a tenth from a guess that is near; monotone but for noise. Each
 * step is a replay, at most so many.
 */
export function rateNear(isKept: (perSecond: number) => boolean, guess: number, stepsMax: number): RateFound {
  const step = 1.1;
  let rate = guess;
  const grows = isKept(rate);
  for (let count = 1; count < stepsMax; count += 1) {
    const next = grows ? rate * step : rate / step;
    const isNextKept = isKept(next);
    if (grows && !isNextKept) return { rate, truth: 'here' };
    rate = next;
    if (!grows && isNextKept) return { rate, truth: 'here' };
  }
  return { rate, truth: grows ? 'above' : 'below' };
}

/** The largest mean rate at which the wait stays within the bound, by halving; monotone but for noise. */
export function highestRate(isKept: (perSecond: number) => boolean, lowest: number, highest: number, steps: number): number {
  let [low, high] = [lowest, highest];
  for (let step = 0; step < steps; step += 1) {
    const middle = Math.sqrt(low * high);
    if (isKept(middle)) low = middle;
    else high = middle;
  }
  return low;
}
