import type { EngineState, EngineStatus } from '@open-autoglm/protocol';

export interface WatchedEngine {
  readonly name: string;
  readonly status: EngineStatus;
}

export interface EngineChange {
  readonly engine: string;
  readonly state: EngineState;
  /** Undefined: it was not known before. */
  readonly previous: EngineState | undefined;
  readonly detail: string;
}

/** How often engines are looked at: they tell their state, not that it changed. What starts again takes longer than this. */
const lookEveryMs = 200;

/** Tells when engines change their state. Returns what ends it, after a last look. */
export function watchEngines(engines: () => readonly WatchedEngine[], onChange: (change: EngineChange) => void): () => void {
  let known = new Map<string, EngineState>();
  const look = () => {
    const now = new Map<string, EngineState>();
    for (const {
      name,
      status: { state, detail },
    } of engines()) {
      const previous = known.get(name);
      now.set(name, state);
      if (previous !== state) onChange({ engine: name, state, previous, detail });
    }
    known = now;
  };
  look();
  const timer = setInterval(look, lookEveryMs).unref();
  return () => {
    clearInterval(timer);
    look();
  };
}
