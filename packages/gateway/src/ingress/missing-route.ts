/** Paths that are there where the configuration says so, and what it has to say. */
const switchedOff: readonly (readonly [RegExp, string])[] = [
  [/^\/v1\/cache\/[\w-]{43}$/, 'cache: {enabled: true}'],
  [/^\/v1\/sessions(\/[\w-]{1,64}(\/completions)?)?$/, 'sessions: {enabled: true}'],
  [/^\/v1\/devices(\/[^/]+\/heartbeat)?$/, 'devices: {enabled: true}'],
  [/^\/v1\/cascade\/feedback$/, 'tiers: {enabled: true, record: {file: ./outcomes.jsonl}}'],
];
const withoutVersion = /^\/(chat\/completions|completions|embeddings|classify|(models|files|batches|sessions)(\/.*)?)$/;

/** Why nothing is there, in words for who has the wrong base URL, or a server on which it is switched off. */
export function describeMissing(method: string, path: string): string {
  const there = `There is nothing at ${method} ${path}`;
  if (withoutVersion.test(path)) return `${there}: it is at /v1${path}. The base URL of OpenAI's clients ends with /v1.`;
  const key = switchedOff.find(([pattern]) => pattern.test(path))?.[1];
  return key === undefined ? `${there}.` : `${there} until the configuration says "${key}".`;
}
