import { InvalidArgumentError } from 'commander';

/** Ranges are the configuration's or the server's to check: they know them, and name the key. */
export function integer(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value)) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

/** As many as the kernels take: with none, or with more, they end the process. */
export function threads(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 512) throw new InvalidArgumentError('It must be a whole number from 1 to 512.');
  return value;
}

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}

/** A shell writes a variable that is not set as an empty text. */
export function filled(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It must not be empty.');
  return text;
}

/** For an option that may be given more than once. */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}
