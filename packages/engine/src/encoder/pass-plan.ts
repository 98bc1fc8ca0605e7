/** Texts of one request that are still to be encoded, by their lengths in tokens. */
export type WaitingTexts = readonly number[];

/**
 * How many texts each request gives to the next pass: one of each in turn, in order of arrival, while the pass has room. So a
 * single text never waits behind a long list, and a list has whatever others leave. The first text goes however long it is, unless only
 * what fits may.
 */
export function planPass(waiting: readonly WaitingTexts[], passTokens: number, first: 'any first' | 'what fits' = 'any first'): number[] {
  const taken = waiting.map(() => 0);
  let room = passTokens;
  let isFirst = first === 'any first';
  let open = waiting.map((_, index) => index);
  while (open.length > 0) {
    open = open.filter((index) => {
      const length = waiting[index]?.[taken[index] as number];
      if (length === undefined || (length > room && !isFirst)) return false;
      isFirst = false;
      room -= length;
      (taken[index] as number) += 1;
      return true;
    });
  }
  return taken;
}
