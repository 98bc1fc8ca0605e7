export interface ProgressBar {
  /** `fraction`: 0 … 1. */
  report(fraction: number, text: string): void;
  /** Takes the bar off a terminal, so that the next line stands on its own. */
  clear(): void;
}

const barWidth = 24;
/** Without a terminal, progress is a line each time this much more is done. */
const stepBetweenLines = 0.25;

/** A bar that moves on a terminal; a few lines elsewhere. A smaller fraction than before is another piece of work, which begins at its own lines; the text may change at any time. */
export function createProgressBar(stream: NodeJS.WriteStream): ProgressBar {
  let isShown = false;
  let nextLineAt = 0;
  let lastFraction = 0;

  const clear = () => {
    if (isShown) stream.write('\r\x1b[K');
    isShown = false;
  };
  return {
    clear,
    report(fraction, text) {
      if (fraction < lastFraction) nextLineAt = 0;
      lastFraction = fraction;
      if (stream.isTTY) {
        const done = Math.round(fraction * barWidth);
        stream.write(`\r\x1b[K${'█'.repeat(done)}${'░'.repeat(barWidth - done)} ${text}`);
        isShown = true;
      } else if (fraction >= nextLineAt) {
        stream.write(`${text}\n`);
        nextLineAt = fraction + stepBetweenLines;
      }
    },
  };
}
