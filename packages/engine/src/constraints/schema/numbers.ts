import type { Node } from '../grammar.ts';
import { anyNumber, isEmptyRange, numberInRange, significantDigits, type NumberRange } from '../terminals/json-number.ts';
import { at, schemaError, type Schema } from './context.ts';

export const numberKeywords = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'] as const;

/** Decimals of a bounded number that has none in its bounds. */
const usualDecimals = 6;
const decimalsMax = 12;

/** A number with at most 15 digits, so that a reader's double keeps its bounds. */
export function compileNumber(schema: Schema, isInteger: boolean, path: string): Node {
  if (!isInteger && numberKeywords.every((keyword) => schema[keyword] === undefined)) return anyNumber();
  const range = rangeOf(schema, isInteger, path);
  if (isEmptyRange(range)) throw schemaError(path, 'no number would fit');
  return numberInRange(range);
}

function rangeOf(schema: Schema, isInteger: boolean, path: string): NumberRange {
  const values = Object.fromEntries(numberKeywords.map((keyword) => [keyword, decimalOf(schema, keyword, path)]));
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = values;
  const decimals = isInteger
    ? 0
    : decimalsFor(
        Object.values(values).filter((value) => value !== undefined),
        multipleOf,
        path,
      );
  if (multipleOf && multipleOf.digits <= 0n) throw schemaError(at(path, 'multipleOf'), 'must be above 0');
  if (multipleOf && isInteger && multipleOf.decimals > 0)
    throw schemaError(at(path, 'multipleOf'), 'must be a whole number for an integer');
  const limit = 10n ** BigInt(significantDigits) - 1n;
  const lows = [-limit, minimum && ceil(minimum, decimals), exclusiveMinimum && floor(exclusiveMinimum, decimals) + 1n];
  const highs = [limit, maximum && floor(maximum, decimals), exclusiveMaximum && ceil(exclusiveMaximum, decimals) - 1n];
  return {
    decimals,
    low: lows.reduce<bigint>((greatest, value) => (value !== undefined && value > greatest ? value : greatest), -limit),
    high: highs.reduce<bigint>((least, value) => (value !== undefined && value < least ? value : least), limit),
    step: multipleOf ? floor(multipleOf, decimals) : 1n,
  };
}

/** digits × 10^−decimals. */
interface Decimal {
  readonly digits: bigint;
  readonly decimals: number;
}

/** As many as the finest bound has, or some where there is room for them beside the greatest. */
function decimalsFor(values: readonly Decimal[], multipleOf: Decimal | undefined, path: string): number {
  const finest = Math.max(...values.map(({ decimals }) => decimals));
  if (finest > decimalsMax) throw schemaError(path, `a bound has more than ${decimalsMax} decimals`);
  if (multipleOf) return finest;
  const wholeDigits = Math.max(...values.map((value) => String(floor(value, 0)).replace('-', '').length));
  return Math.max(finest, Math.min(usualDecimals, significantDigits - wholeDigits), 0);
}

function decimalOf(schema: Schema, keyword: string, path: string): Decimal | undefined {
  const value = schema[keyword];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw schemaError(at(path, keyword), 'must be a number');
  const [mantissa, exponent = '0'] = String(value).split('e') as [string, string | undefined];
  const [whole, fraction = ''] = mantissa.split('.') as [string, string | undefined];
  const decimals = fraction.length - Number(exponent);
  const digits = BigInt(whole + fraction);
  return decimals >= 0 ? { digits, decimals } : { digits: digits * 10n ** BigInt(-decimals), decimals: 0 };
}

function floor({ digits, decimals }: Decimal, wanted: number): bigint {
  if (decimals <= wanted) return digits * 10n ** BigInt(wanted - decimals);
  const unit = 10n ** BigInt(decimals - wanted);
  const quotient = digits / unit;
  return digits % unit < 0n ? quotient - 1n : quotient;
}

function ceil(value: Decimal, wanted: number): bigint {
  return -floor({ digits: -value.digits, decimals: value.decimals }, wanted);
}
