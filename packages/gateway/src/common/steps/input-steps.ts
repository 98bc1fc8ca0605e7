import { CpuPool } from './cpu-pool.ts';
import { createStepMeters, type StepMeters, type StepReading } from './step-meter.ts';

/** What all parts of the gateway that prepare requests share: threads, a bound of what waits for them, and meters. */
export interface InputSteps {
  readonly pool: CpuPool;
  readonly meters: StepMeters;
  readonly waitingMax: number;
  read(): readonly StepReading[];
  close(): Promise<void>;
}

export function createInputSteps({
  threads,
  waiting_max: waitingMax,
}: {
  readonly threads: number;
  readonly waiting_max: number;
}): InputSteps {
  const pool = new CpuPool(threads);
  const meters = createStepMeters();
  return {
    pool,
    meters,
    waitingMax,
    read: () => [meters.collect.read(), meters.buffer.read(), meters.preprocess.read(), meters.handOver.read()],
    close: () => pool.close(),
  };
}
