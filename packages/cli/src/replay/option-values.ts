import { InvalidArgumentError } from 'commander';
import { isRecord, tryParseRecord } from './formats/fields.ts';
import type { ServiceLevelObjective } from './result.ts';
import type { Rate } from './trace/plan.ts';

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `90`, `90s`, `500ms`, `5m` or `1h`, in milliseconds. */
export function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text.trim());
  const value = Number(match?.[1]) * (units[match?.[2] ?? 's'] as number);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a time such as 30s, 500ms, 5m or 1h.');
  return value;
}

/** `2x` is the trace's own times twice as fast, `50` is 50 requests a second on average. */
export function rate(text: string): Rate {
  const match = /^(\d+(?:\.\d+)?)(x|×)?$/i.exec(text.trim());
  const value = Number(match?.[1]);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a speed such as 2x, or requests a second such as 50.');
  return match?.[2] ? { kind: 'speed', factor: value } : { kind: 'mean', perSecond: value };
}

const objectives = { ttft: 'ttftMs', tpot: 'tpotMs', e2e: 'e2eMs' } as const;

/** `ttft=200,tpot=50`: milliseconds. */
export function slo(text: string): ServiceLevelObjective {
  const values: Partial<Record<(typeof objectives)[keyof typeof objectives], number>> = {};
  for (const part of text.split(',')) {
    const match = /^(ttft|tpot|e2e)=(\d+(?:\.\d+)?)(?:ms)?$/.exec(part.trim());
    if (!match)
      throw new InvalidArgumentError(
        `${JSON.stringify(part)} is no objective. It must be such as ttft=200,tpot=50,e2e=5000, in milliseconds.`,
      );
    values[objectives[match[1] as keyof typeof objectives]] = Number(match[2]);
  }
  return values;
}

export function jsonObject(text: string): Readonly<Record<string, unknown>> {
  const value = tryParseRecord(text);
  if (!isRecord(value)) throw new InvalidArgumentError('It must be a JSON object, such as {"temperature": 0}.');
  return value;
}

export function positive(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

export function positiveInteger(text: string): number {
  const value = positive(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('It must be a whole number above 0.');
  return value;
}
