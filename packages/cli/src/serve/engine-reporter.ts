import type { EngineStatusReport } from '@open-autoglm/gateway';

export interface EngineReporter {
  report(status: EngineStatusReport): void;
  /** The model can answer for the first time. */
  ready(model: string): void;
  /** Leaves the cursor on a line of its own. */
  close(): void;
}

const barWidth = 24;
/** Without a terminal, progress is a line each time this much more is done. */
const stepBetweenLines = 0.25;

/** Tells people what the engine does: a bar that moves on a terminal, a few lines elsewhere. */
export function createEngineReporter(stream: NodeJS.WriteStream): EngineReporter {
  let isRestarting = false;
  let isBarShown = false;
  let nextLineAt = 0;

  const line = (text: string) => {
    clear();
    stream.write(`${text}\n`);
  };
  const clear = () => {
    if (isBarShown) stream.write('\r\x1b[K');
    isBarShown = false;
  };
  const progress = (detail: string, fraction: number) => {
    if (stream.isTTY) {
      const done = Math.round(fraction * barWidth);
      stream.write(`\r\x1b[K${'█'.repeat(done)}${'░'.repeat(barWidth - done)} ${detail}`);
      isBarShown = true;
    } else if (fraction >= nextLineAt) {
      line(detail);
      nextLineAt = fraction + stepBetweenLines;
    }
  };

  return {
    report({ engine, state, detail, progress: fraction }) {
      if (engine !== undefined) return line(`${engine}: ${detail}`);
      if (fraction !== undefined) progress(detail, fraction);
      else if (state === 'restarting' || isRestarting) line(detail);
      isRestarting = state === 'restarting';
    },
    // performance.now() counts from the start of the process.
    ready: (model) => line(`ready: ${model} in ${Math.round(performance.now())} ms`),
    close: clear,
  };
}
