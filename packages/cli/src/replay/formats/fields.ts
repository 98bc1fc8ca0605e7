import { BrokenLineError } from '../trace/trace-format.ts';

export type JsonRecord = Readonly<Record<string, unknown>>;

/** The object on a line. */
export function parseRecord(line: string): JsonRecord {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new BrokenLineError('not JSON');
  }
  if (!isRecord(value)) throw new BrokenLineError('not a JSON object');
  return value;
}

/** The same for guessing a format: nothing, where it is none. */
export function tryParseRecord(line: string): JsonRecord | undefined {
  try {
    return parseRecord(line);
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function timeField(record: JsonRecord, name: string): number {
  const value = record[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new BrokenLineError(`${name} is not a number`);
  return value;
}

/** No model reads more; a larger number is damage, and would be synthesised. */
const tokensMax = 16 * 1024 * 1024;

export function tokensField(record: JsonRecord, name: string): number {
  const value = record[name];
  if (!isTokenCount(value)) throw new BrokenLineError(`${name} is not a whole number of tokens`);
  return value;
}

export function isTokenCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= tokensMax;
}
