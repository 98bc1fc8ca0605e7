/** What somebody waits for, and what can wait: both share one engine, and the second gives way to the first. */
export type Lane = 'realtime' | 'batch';

/** Where a request stands among those that wait for the same engine. Admission decides it; an engine with a queue of its own goes by it. */
export interface Standing {
  readonly lane: Lane;
  /** Those of lower levels go first, and may take the place of one of a higher level that has only begun. */
  readonly level: number;
  /** The order within a level: the smallest goes first, and of equals who came first. */
  readonly rank: number;
  /** Tokens that each answer is likely to have. */
  readonly expectedTokens: number;
  /** From when on it waits, on the clock of `performance.now()`: it ages by it, wherever it waits. Absent: from when the engine gets it. */
  readonly waitsSinceMs?: number | undefined;
  /** What its level holds: who runs for longer sinks. Absent: a level is no measure of work, and stays. */
  readonly slices?: LevelSlices | undefined;
}

/** What the levels of a feedback queue hold: so many milliseconds of work the first, and each further one so many times more. */
export interface LevelSlices {
  readonly timeSliceMs: number;
  readonly priorityWeight: number;
}

const levelMax = 63;

/** The first level whose slice holds so much work. */
export function levelOf(workMs: number, { timeSliceMs, priorityWeight }: LevelSlices): number {
  if (!(workMs > timeSliceMs)) return 0;
  return Math.min(levelMax, Math.ceil(Math.log(workMs / timeSliceMs) / Math.log(priorityWeight)));
}
