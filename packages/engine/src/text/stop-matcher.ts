/** Finds stop strings in text that arrives in pieces. */
export interface StopMatcher {
  /** Text that no stop string can begin in any more; `stopped` when one was complete, which ends the answer before it. */
  push(text: string): { readonly text: string; readonly stopped: boolean };
  /** The text held back, when no more will come. */
  flush(): string;
}

/**
 * The stop string that is complete first wins, so the result does not depend on how the text is cut. Holds back less text
 * than the longest stop string is long.
 */
export function createStopMatcher(stops: readonly string[]): StopMatcher {
  const longest = Math.max(0, ...stops.map((stop) => stop.length));
  let held = '';
  return {
    push(text) {
      if (longest === 0) return { text, stopped: false };
      const buffer = held + text;
      const start = firstComplete(buffer, stops);
      if (start !== -1) {
        held = '';
        return { text: buffer.slice(0, start), stopped: true };
      }
      const safe = holdFrom(buffer, stops, longest);
      held = buffer.slice(safe);
      return { text: buffer.slice(0, safe), stopped: false };
    },
    flush() {
      const text = held;
      held = '';
      return text;
    },
  };
}

/** Where the stop string that ends first begins; −1 when there is none. */
function firstComplete(buffer: string, stops: readonly string[]): number {
  const found = stops
    .map((stop) => ({ start: buffer.indexOf(stop), length: stop.length }))
    .filter(({ start }) => start !== -1)
    .sort((a, b) => a.start + a.length - (b.start + b.length) || a.start - b.start);
  return found[0]?.start ?? -1;
}

/** The first place from which the rest of the buffer is the beginning of a stop string. */
function holdFrom(buffer: string, stops: readonly string[], longest: number): number {
  for (let start = Math.max(0, buffer.length - longest + 1); start < buffer.length; start += 1) {
    const rest = buffer.slice(start);
    if (stops.some((stop) => stop.startsWith(rest))) return start;
  }
  return buffer.length;
}
