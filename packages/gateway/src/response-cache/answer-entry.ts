import type { StreamPart, TextDeltaPart, TokenLogprob, UsagePart } from '@open-autoglm/protocol';
import type { Lifetime } from './freshness.ts';

/** A whole answer, as it is kept. */
export interface AnswerEntry extends Lifetime {
  /** For whom it was made; nobody else ever gets it. */
  readonly tenant: string;
  /** The model's own name. */
  readonly model: string;
  /** Who computed it. */
  readonly engine: string | undefined;
  readonly tier: string | undefined;
  /** Another server's own words are written differently in streams and in whole answers: such an entry answers only its like. */
  readonly form: 'any' | 'stream' | 'whole';
  /** As they are given again: with nothing of the time that it took. */
  readonly parts: readonly StreamPart[];
}

/** Why an answer that has come to its end is not kept; undefined: it is. */
export function whyNotKept(parts: readonly StreamPart[], choiceCount: number): string | undefined {
  let ended = 0;
  for (const part of parts) {
    if (part.type !== 'text-end') continue;
    // A filter may judge otherwise tomorrow, and what it let through is not the answer.
    if (part.finishReason === 'content_filter') return 'a filter ended it';
    ended += 1;
  }
  return ended === choiceCount ? undefined : 'a choice has no end';
}

export function formOf(parts: readonly StreamPart[], stream: boolean): AnswerEntry['form'] {
  return parts.some(({ type }) => type === 'wire-delta') ? (stream ? 'stream' : 'whole') : 'any';
}

/**
 * A part as it is given again. The tokens are counted as they were, since clients reckon a conversation's length by them; that none of
 * the prompt was read this time is said as OpenAI says it, by `cached_tokens`.
 */
export function toReplayed(part: StreamPart): StreamPart {
  if (part.type === 'prompt-end') return { ...part, cachedTokens: part.promptTokens, queueMs: 0, prefillMs: 0, delays: undefined };
  if (part.type === 'text-end') return { ...part, decodeMs: 0, delays: undefined };
  if (part.type === 'usage') return { ...part, cachedTokens: part.promptTokens, ...(part.wire && { wire: toReplayedWire(part) }) };
  return part;
}

function toReplayedWire({ wire, promptTokens }: UsagePart): Record<string, unknown> {
  const details = wire?.['prompt_tokens_details'];
  return { ...wire, prompt_tokens_details: { ...(typeof details === 'object' ? details : undefined), cached_tokens: promptTokens } };
}

/** A text that is still growing; its numbers and lists are its own. */
type GrowingText = { -readonly [K in keyof TextDeltaPart]: TextDeltaPart[K] } & { readonly index: number; logprobs?: TokenLogprob[] };

/** The same answer in as few parts as can be, for a client that gets it whole. */
export function toWhole(parts: readonly StreamPart[]): StreamPart[] {
  const whole: StreamPart[] = [];
  /** The last text of a choice, while nothing else of the choice has come after it. */
  const growing = new Map<number, GrowingText>();
  for (const part of parts) {
    const text = growing.get(part.index);
    if (text && part.type === 'text-delta') {
      text.text += part.text;
      text.tokenCount += part.tokenCount;
      if (part.logprobs) (text.logprobs ??= []).push(...part.logprobs);
    } else if (part.type === 'text-delta') {
      const { logprobs, ...own } = part;
      const begun: GrowingText = logprobs ? { ...own, logprobs: [...logprobs] } : own;
      growing.set(part.index, begun);
      whole.push(begun);
    } else {
      growing.delete(part.index);
      whole.push(part);
    }
  }
  return whole;
}

/** What V8 needs for an object of so many fields, and for its place in an array. */
const objectBytes = 96;

/**
 * What a part takes in memory, roughly and rather too much: characters at two bytes each, and everything that has a structure as its JSON.
 */
export function partBytes(part: StreamPart): number {
  switch (part.type) {
    case 'text-delta':
      return objectBytes + part.text.length * 2 + (part.logprobs ? structureBytes(part.logprobs) : 0);
    case 'reasoning-delta':
      return objectBytes + part.text.length * 2;
    case 'wire-delta':
      return objectBytes + structureBytes(part);
    case 'text-end':
      return objectBytes + (part.attention || part.wire ? structureBytes(part) : 0);
    case 'usage':
      return objectBytes + (part.wire ? structureBytes(part.wire) : 0);
    case 'text-start':
    case 'prompt-end':
      return objectBytes;
  }
}

/** Objects take about three times the characters of their JSON. */
function structureBytes(value: object): number {
  return JSON.stringify(value).length * 3;
}

/** With its whole form, which is made when it is first asked for. */
export function entryBytes({ parts }: Pick<AnswerEntry, 'parts'>): number {
  let bytes = 512;
  for (const part of parts) bytes += partBytes(part) + ('text' in part ? part.text.length : 0);
  return bytes;
}
