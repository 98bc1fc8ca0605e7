import stringWidth from 'string-width';

/** Rows of cells, each column as wide as its widest cell on a terminal, where a Chinese character takes two places. */
export function alignColumns(rows: readonly (readonly string[])[], alignments: readonly ('left' | 'right')[]): string[] {
  const widths = alignments.map((_, column) => Math.max(0, ...rows.map((row) => stringWidth(row[column] ?? ''))));
  return rows.map((row) =>
    alignments
      .map((alignment, column) => pad(row[column] ?? '', widths[column] as number, alignment))
      .join('  ')
      .trimEnd(),
  );
}

function pad(text: string, width: number, alignment: 'left' | 'right'): string {
  const room = ' '.repeat(Math.max(0, width - stringWidth(text)));
  return alignment === 'left' ? text + room : room + text;
}

/**
 * A text from elsewhere on one line: what would move the cursor, colour the terminal or turn the direction of writing is shown as its code.
 */
export function harmless(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`);
}

/** Three digits that count, and no fewer than a number's whole part; `–` for none. */
export function formatNumber(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const magnitude = Math.abs(value);
  const decimals = magnitude >= 100 || Number.isInteger(value) ? 0 : magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3;
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** `1 request`, `1,200 requests`. */
export function formatCount(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? '' : 's'}`;
}

export function formatShare(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

/** From milliseconds: `350 ms`, `12.5 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${formatNumber(ms)} ms`;
  const seconds = Math.round(ms / 1000);
  if (ms < 100_000) return `${formatNumber(ms / 1000)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
