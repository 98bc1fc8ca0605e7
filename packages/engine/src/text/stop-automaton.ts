/** A state of the automaton: it stands for the longest end of the text so far with which a stop string begins. */
export interface StopState {
  /** That end's length in UTF-16 code units. */
  readonly depth: number;
  /** Length of the longest stop string with which the text ends; 0 for none. */
  matchLength: number;
  /** The state for the next shorter such end; absent at the root, which stands for none. */
  fallback: StopState | undefined;
  /** By UTF-16 code unit. */
  readonly next: Map<number, StopState>;
}

/** The root of an automaton that finds all `stops` in one pass over the text (Aho and Corasick 1975). */
export function buildStopAutomaton(stops: readonly string[]): StopState {
  const root: StopState = { depth: 0, matchLength: 0, fallback: undefined, next: new Map() };
  for (const stop of stops) insert(root, stop);
  linkFallbacks(root);
  return root;
}

/** The state after one more code unit. Constant time on average over a text: each fallback gives up depth gained before. */
export function advance(state: StopState, unit: number): StopState {
  for (let from = state; ; from = from.fallback) {
    const next = from.next.get(unit);
    if (next) return next;
    if (!from.fallback) return from;
  }
}

function insert(root: StopState, stop: string): void {
  let state = root;
  for (let place = 0; place < stop.length; place += 1) {
    const unit = stop.charCodeAt(place);
    let next = state.next.get(unit);
    if (!next) {
      next = { depth: place + 1, matchLength: 0, fallback: root, next: new Map() };
      state.next.set(unit, next);
    }
    state = next;
  }
  state.matchLength = stop.length;
}

/** Breadth first: a fallback is shallower, so it is complete before the states that fall back to it. */
function linkFallbacks(root: StopState): void {
  const queue = [...root.next.values()];
  for (const state of queue) {
    const fallback = state.fallback ?? root;
    state.matchLength ||= fallback.matchLength;
    for (const [unit, next] of state.next) {
      next.fallback = advance(fallback, unit);
      queue.push(next);
    }
  }
}
