import type { StreamPart } from '@open-autoglm/protocol';
import type { AnswerEntry } from './answer-entry.ts';
import type { Codec } from './levels/redis-level.ts';

type Fields = Readonly<Record<string, unknown>>;

const isText = (value: unknown) => typeof value === 'string';
const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const isAbsentOr = (is: (value: unknown) => boolean) => (value: unknown) => value === undefined || is(value);
const areTokens = (value: unknown) =>
  Array.isArray(value) && value.every((token) => isObject(token) && isText(token['token']) && Array.isArray(token['top']));

/** What each part is written out by. */
const fieldsOf: { readonly [T in StreamPart['type']]: Readonly<Record<string, (value: unknown) => boolean>> } = {
  'prompt-end': { promptTokens: isCount, cachedTokens: isCount, queueMs: Number.isFinite, prefillMs: Number.isFinite },
  'text-start': {},
  'text-delta': { text: isText, tokenCount: isCount, logprobs: isAbsentOr(areTokens) },
  'reasoning-delta': { text: isText, tokenCount: isCount },
  'wire-delta': { delta: isObject, choice: isObject, answer: isObject },
  'text-end': {
    finishReason: isText,
    completionTokens: isCount,
    decodeMs: Number.isFinite,
    attention: isAbsentOr(isObject),
    wire: isAbsentOr(isObject),
  },
  usage: { promptTokens: isCount, cachedTokens: isCount, completionTokens: isCount, source: isText, wire: isAbsentOr(isObject) },
};
const forms: ReadonlySet<unknown> = new Set<AnswerEntry['form']>(['any', 'stream', 'whole']);

/** Answers as JSON: V8 reads and writes it faster than any library does another format, and they are mostly text. */
export const answerCodec: Codec<AnswerEntry> = {
  encode: (entry) => JSON.stringify(entry),
  decode(text) {
    const value: unknown = JSON.parse(text);
    return isEntry(value) ? value : undefined;
  },
};

/** Whoever can write to Redis can write a checksum, too: what is not an entry must not get as far as an answer. */
function isEntry(value: unknown): value is AnswerEntry {
  const entry = value as Partial<Record<keyof AnswerEntry, unknown>> | null;
  return (
    typeof entry === 'object' &&
    entry !== null &&
    typeof entry.tenant === 'string' &&
    typeof entry.model === 'string' &&
    forms.has(entry.form) &&
    [entry.keptAtMs, entry.expiresAtMs, entry.goneAtMs, entry.computeMs].every(Number.isFinite) &&
    Array.isArray(entry.parts) &&
    entry.parts.every((part) => isPart(part, (entry.parts as unknown[]).length)) &&
    entry.parts.some(({ type }) => type === 'text-end')
  );
}

/** Every choice has parts: no index is as large as their number, by which others make room. */
function isPart(part: unknown, count: number): boolean {
  if (
    !isObject(part) ||
    !isText(part['type']) ||
    !Object.hasOwn(fieldsOf, part['type'] as string) ||
    !isCount(part['index']) ||
    (part['index'] as number) >= count
  )
    return false;
  return Object.entries(fieldsOf[part['type'] as StreamPart['type']]).every(([name, is]) => is(part[name]));
}
