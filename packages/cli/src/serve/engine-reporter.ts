import type { EngineStatusReport } from '@open-autoglm/gateway';
import { createProgressBar } from '../terminal/progress-bar.ts';

export interface EngineReporter {
  report(status: EngineStatusReport): void;
  /** What else is to be known. */
  notice(text: string): void;
  /** The model can answer for the first time. */
  ready(model: string): void;
  /** Leaves the cursor on a line of its own. */
  close(): void;
}

/** Tells people what the engine does: a bar that moves on a terminal, a few lines elsewhere. */
export function createEngineReporter(stream: NodeJS.WriteStream): EngineReporter {
  const bar = createProgressBar(stream);
  let isRestarting = false;

  const line = (text: string) => {
    bar.clear();
    stream.write(`${text}\n`);
  };
  return {
    report({ engine, state, detail, progress: fraction }) {
      if (engine !== undefined) return line(`${engine}: ${detail}`);
      if (fraction !== undefined) bar.report(fraction, detail);
      else if (state === 'restarting' || isRestarting) line(detail);
      isRestarting = state === 'restarting';
    },
    notice: line,
    // performance.now() counts from the start of the process.
    ready: (model) => line(`ready: ${model} in ${Math.round(performance.now())} ms`),
    close: bar.clear,
  };
}
