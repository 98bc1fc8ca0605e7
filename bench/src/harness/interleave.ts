/** Measures once and returns the figure: more is better or less is better, but the same for all contestants. */
export type Measure = () => Promise<number>;

export interface InterleaveOptions {
  /** Rounds that count. */
  readonly runs: number;
  /** Rounds before them that do not. */
  readonly warmups: number;
  /** Called before each measurement, to put the machine into the same state; see `CoreWaker`. */
  readonly settle: () => Promise<void>;
}

/**
 * Measures all contestants in turn, round after round: A B, B A, A B, … so that a machine that grows slower or faster
 * does so for all, and none always follows the same other. Returns the figures of each contestant by round.
 */
export async function interleave(contestants: readonly Measure[], { runs, warmups, settle }: InterleaveOptions): Promise<number[][]> {
  const figures = contestants.map((): number[] => []);
  for (let round = -warmups; round < runs; round += 1) {
    const order = [...contestants.keys()];
    if (round % 2 !== 0) order.reverse();
    for (const index of order) {
      await settle();
      const figure = await (contestants[index] as Measure)();
      if (round >= 0) figures[index]?.push(figure);
    }
  }
  return figures;
}
