import type { StreamPart } from '@open-autoglm/protocol';
import type { AnswerEntry } from './answer-entry.ts';
import type { Codec } from './levels/redis-level.ts';

const partTypes: ReadonlySet<unknown> = new Set<StreamPart['type']>(['prompt-end', 'text-start', 'text-delta', 'reasoning-delta', 'wire-delta', 'text-end', 'usage']);
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
    typeof entry === 'object' && entry !== null &&
    typeof entry.tenant === 'string' && typeof entry.model === 'string' && forms.has(entry.form) &&
    [entry.keptAtMs, entry.expiresAtMs, entry.goneAtMs, entry.computeMs].every(Number.isFinite) &&
    Array.isArray(entry.parts) && entry.parts.every(isPart)
  );
}

function isPart(value: unknown): boolean {
  const part = value as { type?: unknown; index?: unknown; text?: unknown } | null;
  if (typeof part !== 'object' || part === null || !partTypes.has(part.type) || !Number.isSafeInteger(part.index) || (part.index as number) < 0) return false;
  return (part.type !== 'text-delta' && part.type !== 'reasoning-delta') || typeof part.text === 'string';
}
