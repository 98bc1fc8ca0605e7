import type { ResponseFormat } from '@open-autoglm/protocol';
import { fitsSchema } from './fits-schema.ts';
import type { AnswerSample, Scorer } from './sample.ts';

/** Only how an answer begins tells a refusal from one that speaks of refusals. */
const refusalWithin = 160;
const refusal =
  /\b(?:i(?:'|’)?m sorry|i apologi[sz]e|i (?:cannot|can(?:'|’)t|can not|am unable|am not able|don(?:'|’)t know|do not know)|as an ai)\b|抱歉|对不起|我(?:不知道|无法|不能|不会|没办法)|作为一个?(?:人工智能|AI)/iu;

const charactersLookedAt = 16_384;
const gramSize = 8;
/** Of pieces of text so long, this share may have been there before: a table repeats itself, too. */
const repeatedShareMax = 0.6;

/**
 * What is wrong with an answer's form: 0 for none at all, for a refusal, and for what is not the JSON that was asked for; a little for what
 * breaks off or goes round in circles; else 1.
 */
export const shape: Scorer = (sample) => {
  const text = sample.text.trim();
  if (text === '') return sample.callsTools ? 1 : 0;
  if (sample.finishReason === 'content_filter') return 0;
  if (!fitsFormat(text, sample.responseFormat)) return 0;
  if (refusal.test(text.slice(0, refusalWithin))) return 0;
  return isUnfinished(sample) || isRepeating(text) ? 0.2 : 1;
};

function isUnfinished({ finishReason, isLimited }: AnswerSample): boolean {
  return finishReason === 'length' && !isLimited;
}

function fitsFormat(text: string, format: ResponseFormat | undefined): boolean {
  if (!format) return true;
  try {
    const value: unknown = JSON.parse(text);
    return format.type === 'json_schema' ? fitsSchema(value, format.schema) : typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}

function isRepeating(text: string): boolean {
  const looked = text.slice(0, charactersLookedAt);
  const count = looked.length - gramSize + 1;
  if (count < gramSize * 8) return false;
  const seen = new Set<string>();
  for (let index = 0; index < count; index += 1) seen.add(looked.slice(index, index + gramSize));
  return 1 - seen.size / count > repeatedShareMax;
}
