import { levelOf, type Lane, type Standing } from '@open-autoglm/protocol';

/** A sequence, as far as its turn depends on it. Times in milliseconds of the engine's clock. */
export interface Ranked {
  /** Grows in the order in which they came to the engine. */
  readonly order: number;
  /** When it came to whoever queued it first: it ages by it. */
  readonly waitsSince: number;
  readonly request: { readonly standing?: Standing | undefined };
  /** Tokens of its answer so far. */
  readonly generated: number;
  /** When it got the place that it has; undefined while it waits. */
  readonly placedAt: number | undefined;
  /** How long it had a place before. */
  readonly ranMs: number;
}

/** How real time and batch share the engine. */
export interface SharingLimits {
  /** Who has waited for so long, in milliseconds, is overtaken by nobody of its lane. */
  readonly agingMs: number;
  /**
   * What gives way to real time that finds no place: `preemption`, sequences of the batch lane, which wait and compute again what
   * has gone meanwhile; `time_slice`, none, but while any runs in real time, the batch lane decodes in its share of the steps only.
   */
  readonly batchYields: 'preemption' | 'time_slice';
  /** Of places, prompt tokens and, with time slices, steps: the batch lane never has less, when it wants it. */
  readonly batchShareMin: number;
  /** A sequence that has made more than this share of the tokens expected of it keeps its place. */
  readonly preemptibleShare: number;
}

/** What holds when turns are asked for. */
export interface Turn extends Pick<SharingLimits, 'agingMs'> {
  readonly nowMs: number;
}

export function laneOf({ request }: Pick<Ranked, 'request'>): Lane {
  return request.standing?.lane ?? 'realtime';
}

/** Where nothing else is said. Sequences without a standing give way to nobody. */
export const defaultSharing: SharingLimits = { agingMs: 5000, batchYields: 'preemption', batchShareMin: 0.1, preemptibleShare: 0.5 };

export function countLanes(sequences: readonly Pick<Ranked, 'request'>[]): Record<Lane, number> {
  let batch = 0;
  for (const sequence of sequences) if (laneOf(sequence) === 'batch') batch += 1;
  return { realtime: sequences.length - batch, batch };
}

/** Whether nobody who came later may go before it any more. */
export function isAged({ waitsSince }: Pick<Ranked, 'waitsSince'>, { nowMs, agingMs }: Turn): boolean {
  return nowMs - waitsSince >= agingMs;
}

/** Those of a lane in the order of their turn: who has waited too long, as they came, then by level and rank. */
export function inTurn<S extends Ranked>(sequences: readonly S[], lane: Lane, turn: Turn): S[] {
  return sequences
    .filter((sequence) => laneOf(sequence) === lane)
    .map((sequence) => ({ sequence, ...placeNow(sequence, turn.nowMs), isOld: isAged(sequence, turn) }))
    .sort((a, b) => {
      if (a.isOld !== b.isOld) return a.isOld ? -1 : 1;
      const byPlace = a.isOld ? a.sequence.waitsSince - b.sequence.waitsSince : a.level - b.level || a.rank - b.rank;
      return byPlace || a.sequence.order - b.sequence.order;
    })
    .map(({ sequence }) => sequence);
}

/**
 * Where it stands by what it has had: a feedback queue lets a request join at the level of its predicted work, and sink when the
 * prediction turns out too small (FastServe, Wu et al. 2023). Within a level the rank is of what is left of the answer (SRTF); of one
 * that has outlived its prediction nobody knows that, and it ranks as if it began.
 */
export function placeNow({ request: { standing }, generated, placedAt, ranMs }: Ranked, nowMs: number): Pick<Standing, 'level' | 'rank'> {
  if (!standing) return first;
  const { level, rank, expectedTokens, slices } = standing;
  if (!slices) return standing;
  const hasRunMs = ranMs + (placedAt === undefined ? 0 : nowMs - placedAt);
  const left = generated < expectedTokens ? 1 - generated / expectedTokens : 1;
  return { level: Math.max(level, levelOf(hasRunMs, slices)), rank: rank * left };
}

const first = { level: 0, rank: 0 };
