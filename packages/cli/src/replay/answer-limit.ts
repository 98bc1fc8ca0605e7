import type { JsonRecord } from './formats/fields.ts';

/**
 * Two names of the limit that a body sets to an answer: a server may refuse one in which they differ. How long an answer is, is its
 * `outputTokens`.
 */
const names = ['max_tokens', 'max_completion_tokens'] as const;

export function saysLimit(body: JsonRecord): boolean {
  return names.some((name) => Object.hasOwn(body, name));
}

/** Undefined where the body sets no limit. */
export function saidLimit(body: JsonRecord): number | undefined {
  return names.map((name) => body[name]).find((value) => typeof value === 'number');
}

export function withoutLimit({ max_tokens: _older, max_completion_tokens: _newer, ...body }: JsonRecord): JsonRecord {
  return body;
}

/** With `tokensMax`, or the limit that the body has where that is less, under the name that it has there. */
export function withLimit(body: JsonRecord, tokensMax: number): JsonRecord {
  if (!Number.isFinite(tokensMax)) return body;
  const said = names.filter((name) => typeof body[name] === 'number');
  const limits =
    said.length === 0
      ? { max_tokens: tokensMax }
      : Object.fromEntries(said.map((name) => [name, Math.min(body[name] as number, tokensMax)]));
  return { ...body, ...limits };
}
