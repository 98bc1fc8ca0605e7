import type { Terminal } from '../grammar.ts';

/** Which numbers: whole multiples of `step` from `low` to `high`, all three times 10^`decimals`. */
export interface NumberRange {
  readonly decimals: number;
  readonly low: bigint;
  readonly high: bigint;
  readonly step: bigint;
}

/** A double keeps this many decimal digits; with more, a bound could be passed by rounding. */
export const significantDigits = 15;

/**
 * A JSON number in a range, written without exponent. The state is the text; a digit is taken where some number of the range
 * begins so, which is exact arithmetic on whole numbers: what may follow a text is an interval for each number of digits.
 */
export function numberInRange(range: NumberRange): Terminal<string> {
  const canBegin = (text: string) => intervals(text, range.decimals).some((interval) => meets(interval, range));
  const step = (text: string, byte: number) => {
    const longer = text + String.fromCharCode(byte);
    return shape.test(longer) && canBegin(longer) ? longer : undefined;
  };
  return {
    kind: 'terminal',
    start: '',
    step,
    isComplete: (text) => isNumber.test(text) && meets([valueOf(text, range.decimals), valueOf(text, range.decimals)], range),
    canGoOn: (text) => [...'-.0123456789'].some((character) => step(text, character.charCodeAt(0)) !== undefined),
  };
}

/** Any JSON number that a double can hold: few enough digits, exponents of two digits. */
export function anyNumber(): Terminal<string> {
  const step = (text: string, byte: number) => {
    const longer = text + String.fromCharCode(byte);
    return freeShape.test(longer) ? longer : undefined;
  };
  return {
    kind: 'terminal',
    start: '',
    step,
    isComplete: (text) => freeNumber.test(text),
    canGoOn: (text) => [...'-.e0'].some((character) => step(text, character.charCodeAt(0)) !== undefined),
  };
}

/** Whether a range holds any number at all. */
export function isEmptyRange(range: NumberRange): boolean {
  return !intervals('', range.decimals).some((interval) => meets(interval, range));
}

const shape = /^-?(?:(?:0|[1-9]\d*)(?:\.\d*)?)?$/;
const isNumber = /^-?\d+(?:\.\d+)?$/;
const freeShape = /^-?(?:(?:0|[1-9]\d{0,14})(?:\.(?:\d{0,15}|\d{1,15}e[+-]?\d{0,2})|e[+-]?\d{0,2})?)?$/i;
const freeNumber = /^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/i;

type Interval = readonly [low: bigint, high: bigint];

/** The values, times 10^decimals, of the numbers that begin with this text. */
function intervals(text: string, decimals: number): readonly Interval[] {
  const isNegative = text.startsWith('-');
  const magnitudes = magnitudeIntervals(isNegative ? text.slice(1) : text, decimals);
  if (isNegative) return magnitudes.map(([low, high]) => [-high, -low]);
  return text === '' ? [...magnitudes, ...magnitudes.map(([low, high]): Interval => [-high, -low])] : magnitudes;
}

function magnitudeIntervals(text: string, decimals: number): readonly Interval[] {
  const digitsMax = significantDigits - decimals;
  if (text === '') return [[0n, power(significantDigits) - 1n]];
  const [whole, fraction] = text.split('.') as [string, string | undefined];
  if (fraction !== undefined) {
    const missing = decimals - fraction.length;
    return missing < 0 || decimals === 0 ? [] : [following(BigInt(whole + fraction), missing)];
  }
  if (whole.length > digitsMax) return [];
  const more = whole === '0' ? 0 : digitsMax - whole.length;
  return Array.from({ length: more + 1 }, (_, count) => following(BigInt(whole), count + decimals));
}

/** The numbers that these digits and `count` more make. */
function following(digits: bigint, count: number): Interval {
  return [digits * power(count), (digits + 1n) * power(count) - 1n];
}

function valueOf(text: string, decimals: number): bigint {
  const [whole, fraction = ''] = text.replace('-', '').split('.') as [string, string | undefined];
  const magnitude = BigInt(whole + fraction.padEnd(decimals, '0'));
  return text.startsWith('-') ? -magnitude : magnitude;
}

function meets([from, to]: Interval, { low, high, step }: NumberRange): boolean {
  const start = from > low ? from : low;
  const end = to < high ? to : high;
  return ceilTo(start, step) <= end;
}

/** The least multiple of `step` that is at least `value`. */
function ceilTo(value: bigint, step: bigint): bigint {
  const rest = value % step;
  if (rest === 0n) return value;
  return rest > 0n ? value - rest + step : value - rest;
}

function power(exponent: number): bigint {
  return 10n ** BigInt(exponent);
}
