import type { Lane, Standing } from '@open-autoglm/protocol';

/** A sequence, as far as its turn depends on it. Times in milliseconds of the engine's clock. */
export interface Ranked {
  /** Grows in the order of arrival. */
  readonly order: number;
  readonly arrivedAt: number;
  readonly request: { readonly standing?: Standing | undefined };
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

/** Those of a lane in the order of their turn: who has waited too long, then by level and rank, then as they came. */
export function inTurn<S extends Ranked>(sequences: readonly S[], lane: Lane, { nowMs, agingMs }: { readonly nowMs: number; readonly agingMs: number }): S[] {
  const isOld = ({ arrivedAt }: S) => nowMs - arrivedAt >= agingMs;
  return sequences.filter((sequence) => laneOf(sequence) === lane).sort((a, b) => {
    const [oldA, oldB] = [isOld(a), isOld(b)];
    if (oldA || oldB) return oldA && oldB ? a.order - b.order : oldA ? -1 : 1;
    return compare(a, b);
  });
}

function compare(a: Ranked, b: Ranked): number {
  const [standingA, standingB] = [a.request.standing, b.request.standing];
  return (standingA?.level ?? 0) - (standingB?.level ?? 0) || (standingA?.rank ?? 0) - (standingB?.rank ?? 0) || a.order - b.order;
}
