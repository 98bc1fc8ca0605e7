export interface ProgressBar {
  /** `fraction`: 0 … 1. */
  report(fraction: number, text: string): void;
  /** Takes the bar off a terminal, so that the next line stands on its own. */
  clear(): void;
}

const barWidth = 24;
/** Of a terminal that does not say. */
const columnsAssumed = 80;
/** Without a terminal, progress is a line each time this much more is done. */
const stepBetweenLines = 0.25;

/**
 * A bar that moves on a terminal; a few lines elsewhere. A smaller fraction than before is another piece of work, which begins at its own
 * lines; the text may change at any time.
 */
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
        stream.write(`\r\x1b[K${line(fraction, text, (stream.columns || columnsAssumed) - 1)}`);
        isShown = true;
      } else if (fraction >= nextLineAt) {
        stream.write(`${text}\n`);
        nextLineAt = fraction + stepBetweenLines;
      }
    },
  };
}

/** One that wrapped could not be drawn over: the bar gives way to the text, and the text ends where the line does. */
function line(fraction: number, text: string, columns: number): string {
  const width = Math.max(0, Math.min(barWidth, columns - columnsOf(text) - 1));
  const done = Math.round(fraction * width);
  return width === 0 ? cut(text, columns) : `${'█'.repeat(done)}${'░'.repeat(width - done)} ${text}`;
}

function cut(text: string, columns: number): string {
  let end = 0;
  let used = 0;
  for (const character of text) {
    used += columnsOf(character);
    if (used > columns) return text.slice(0, end);
    end += character.length;
  }
  return text;
}

/** At most: what may be wide is taken for wide. Knowing better costs every start 30 ms. */
function columnsOf(text: string): number {
  return [...text].reduce((sum, character) => sum + ((character.codePointAt(0) as number) < 0x1100 ? 1 : 2), 0);
}
