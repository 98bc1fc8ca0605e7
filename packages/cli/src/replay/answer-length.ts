import type { JsonRecord } from './formats/fields.ts';

/** Two names of one limit: a server may refuse a body in which they differ. */
const names = ['max_tokens', 'max_completion_tokens'] as const;

export function saysLength(body: JsonRecord): boolean {
  return names.some((name) => Object.hasOwn(body, name));
}

/** Undefined where the body sets no limit. */
export function saidLength(body: JsonRecord): number | undefined {
  return names.map((name) => body[name]).find((value) => typeof value === 'number');
}

export function withoutLength({ max_tokens: _older, max_completion_tokens: _newer, ...body }: JsonRecord): JsonRecord {
  return body;
}

/** With the limit that the body has, under the name that it has there, or with `tokensMax` where that is less. */
export function cutLength(body: JsonRecord, tokensMax: number): JsonRecord {
  if (!Number.isFinite(tokensMax)) return body;
  const said = names.filter((name) => typeof body[name] === 'number');
  const limits = said.length === 0 ? { max_tokens: tokensMax } : Object.fromEntries(said.map((name) => [name, Math.min(body[name] as number, tokensMax)]));
  return { ...body, ...limits };
}
