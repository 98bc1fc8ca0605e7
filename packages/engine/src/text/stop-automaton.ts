/** A state of the automaton: it stands for the longest end of the text so far with which a stop string begins. */
export interface StopState {
  /** That end's length in UTF-16 code units. */
  readonly depth: number;
  /** Length of the longest stop string with which the text ends; 0 for none. */
  readonly matchLength: number;
  /** The state for the next longest such end; absent at the root, which stands for none. */
  readonly fallback: StopState | undefined;
  /** By UTF-16 code unit. */
  readonly next: ReadonlyMap<number, StopState>;
}

type Draft = { -readonly [Key in keyof StopState]: StopState[Key] } & { readonly next: Map<number, Draft>; fallback: Draft | undefined };

/** The root of an automaton that finds all `stops` in one pass over the text (Aho and Corasick 1975). */
export function buildStopAutomaton(stops: readonly string[]): StopState {
  const root: Draft = { depth: 0, matchLength: 0, fallback: undefined, next: new Map() };
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

function insert(root: Draft, stop: string): void {
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

/** Breadth first, because a fallback is always shallower. */
function linkFallbacks(root: Draft): void {
  const queue = [...root.next.values()];
  for (const state of queue) {
    for (const [unit, next] of state.next) {
      next.fallback = advance(state.fallback as Draft, unit) as Draft;
      queue.push(next);
    }
    state.matchLength ||= (state.fallback as Draft).matchLength;
  }
}
