import { vi } from 'vitest';

export interface StoppedClock extends Disposable {
  pass(forMs: number): void;
}

/**
 * From here on `performance.now` and `Date` stand still but for what the test lets pass: how long this process takes for anything is 0,
 * however busy the machine. Timers run as ever. Once for a test, before what it starts takes its clock.
 */
export function stopClock(): StoppedClock {
  vi.useFakeTimers({ toFake: ['performance', 'Date'] });
  return { pass: (forMs) => void vi.advanceTimersByTime(forMs), [Symbol.dispose]: () => void vi.useRealTimers() };
}
