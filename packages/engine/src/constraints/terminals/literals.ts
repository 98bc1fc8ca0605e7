import type { Terminal } from '../grammar.ts';

/** The literals `sorted[low, high)` begin with the `depth` bytes that were read. */
interface LiteralState {
  readonly low: number;
  readonly high: number;
  readonly depth: number;
}

const utf8 = new TextEncoder();

/** One of these texts, none of them empty. Any number costs a step a binary search. */
export function literals(texts: readonly string[]): Terminal<LiteralState> {
  const sorted = [...new Set(texts)].map((text) => utf8.encode(text)).toSorted(compareBytes);
  const isWhole = ({ low, depth }: LiteralState) => (sorted[low] as Uint8Array).length === depth;
  return {
    kind: 'terminal',
    start: { low: 0, high: sorted.length, depth: 0 },
    step({ low, high, depth }, byte) {
      const from = lowerBound(sorted, low, high, depth, byte);
      const to = lowerBound(sorted, from, high, depth, byte + 1);
      return from < to ? { low: from, high: to, depth: depth + 1 } : undefined;
    },
    // A shorter text sorts before those that it begins.
    isComplete: isWhole,
    canGoOn: (state) => state.high - state.low > 1 || !isWhole(state),
  };
}

/** The first of sorted[low, high) whose byte at `depth` is at least `byte`; the end of a text is less than any byte. */
function lowerBound(sorted: readonly Uint8Array[], low: number, high: number, depth: number, byte: number): number {
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (((sorted[middle] as Uint8Array)[depth] ?? -1) < byte) low = middle + 1;
    else high = middle;
  }
  return low;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}
