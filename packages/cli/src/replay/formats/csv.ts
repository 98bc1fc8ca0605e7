import { BrokenLineError, type TraceReader, type TraceRequest } from '../trace/trace-format.ts';
import { isTokenCount } from './fields.ts';

/** The cells of one line; quotes as RFC 4180 has them, but for line breaks within: no trace has any. */
export function splitCsv(line: string): string[] {
  const cells: string[] = [];
  // A cell is quoted, or holds no comma. The comma before it is part of the match, so that the last cell may be empty.
  for (const [, quoted, plain] of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    cells.push(quoted === undefined ? (plain ?? '').trim() : quoted.replaceAll('""', '"'));
  }
  return cells;
}

/** Reads the columns by their names, wherever they stand: a header comes first, and may come again where files were joined. */
export function createCsvReader(
  columns: readonly string[],
  toRequest: (cells: Readonly<Record<string, string>>) => TraceRequest,
): TraceReader {
  let places: readonly number[] | undefined;
  return {
    read(line) {
      const cells = splitCsv(line);
      if (isHeader(cells, columns)) {
        places = columns.map((column) => cells.indexOf(column));
        return undefined;
      }
      if (!places) throw new BrokenLineError(`no header with the columns ${columns.join(', ')} above it`);
      return toRequest(Object.fromEntries(columns.map((column, index) => [column, cells[places?.[index] ?? -1] ?? ''])));
    },
  };
}

export function isHeader(cells: readonly string[], columns: readonly string[]): boolean {
  return columns.every((column) => cells.includes(column));
}

export function tokensCell(cells: Readonly<Record<string, string>>, column: string): number {
  const value = numberCell(cells, column);
  if (!isTokenCount(value)) throw new BrokenLineError(`${column} is not a whole number of tokens`);
  return value;
}

export function numberCell(cells: Readonly<Record<string, string>>, column: string): number {
  const text = cells[column] ?? '';
  const value = Number(text);
  if (text === '' || !Number.isFinite(value)) throw new BrokenLineError(`${column} is not a number`);
  return value;
}
