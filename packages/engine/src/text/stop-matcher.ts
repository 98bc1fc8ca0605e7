import { advance, buildStopAutomaton } from './stop-automaton.ts';

/** Finds stop strings in text that arrives in pieces. */
export interface StopMatcher {
  /**
   * Text that no stop string can take back any more. `stopped` when one was found: the answer ends before it, and
   * whatever is pushed later is dropped.
   */
  push(text: string): { readonly text: string; readonly stopped: boolean };
  /** The text held back, when no more will come, up to a stop string that is complete in it. */
  flush(): { readonly text: string; readonly stopped: boolean };
}

/**
 * The stop string that begins first ends the answer, as it would in the whole text, however that is cut: one that is complete still
 * waits while a longer one that began before it may follow. Empty stop strings stop nothing. Holds back less text than the
 * longest stop string; time is linear in the text.
 */
export function createStopMatcher(stops: readonly string[]): StopMatcher {
  const root = buildStopAutomaton(stops);
  let state = root;
  let held = '';
  /** Where in `held` the first stop string begins that is complete. */
  let match = Infinity;
  let stopped = false;

  return {
    push(text) {
      if (stopped) return { text: '', stopped };
      const buffer = held + text;
      for (let end = held.length + 1; end <= buffer.length; end += 1) {
        state = advance(state, buffer.charCodeAt(end - 1));
        if (state.matchLength > 0) match = Math.min(match, end - state.matchLength);
        stopped = match <= end - state.depth;
        if (stopped) {
          held = '';
          return { text: buffer.slice(0, match), stopped };
        }
      }
      const safe = buffer.length - state.depth;
      held = buffer.slice(safe);
      match -= safe;
      return { text: buffer.slice(0, safe), stopped };
    },
    flush() {
      const end = { text: held.slice(0, match), stopped: match < Infinity };
      held = '';
      state = root;
      match = Infinity;
      return end;
    },
  };
}

/** The text that the matcher still holds, after `rest`. */
export function lastText(matcher: StopMatcher, rest: string): { readonly text: string; readonly stopped: boolean } {
  const pushed = matcher.push(rest);
  if (pushed.stopped) return pushed;
  const held = matcher.flush();
  return { text: pushed.text + held.text, stopped: held.stopped };
}
