import { isRecord, type JsonRecord } from '../replay/formats/fields.ts';

/** Numbers and switches of a request that tell nothing of its contents. */
const askedKeys = [
  'stream',
  'max_tokens',
  'max_completion_tokens',
  'n',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'presence_penalty',
  'frequency_penalty',
  'repetition_penalty',
  'seed',
] as const;

/** What a request asks for besides its prompt. */
export function askedOf(body: JsonRecord): Record<string, number | boolean> {
  return Object.fromEntries(
    askedKeys
      .map((key) => [key, body[key]])
      .filter((entry): entry is [string, number | boolean] => typeof entry[1] === 'number' || typeof entry[1] === 'boolean'),
  );
}

/** Whether the same request has the same answer again. */
export function isRepeatable({ temperature, seed, n }: JsonRecord): boolean {
  return (temperature === 0 || typeof seed === 'number') && (n === undefined || n === 1);
}

const secretName =
  /(?:(?:api|secret|private|access|subscription)[-_]?key|authorization|password|passwd|secret|credentials?|cookie|bearer|(?:^|[-_]|access|auth|refresh|bearer|session|id|api)token)$/i;
const depthMax = 64;

/** The body without what names itself a secret, such as the key for a tool's server; what people wrote stays as it is. */
export function withoutSecrets(value: unknown, depth = 0): unknown {
  if (depth > depthMax) return '[too deep]';
  if (Array.isArray(value)) return value.map((item) => withoutSecrets(item, depth + 1));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, secretName.test(key) ? redacted(item, depth + 1) : withoutSecrets(item, depth + 1)]),
  );
}

/** A text, or a list of them, as headers may be; a schema that describes a secret is none. */
function redacted(value: unknown, depth: number): unknown {
  if (Array.isArray(value)) return value.map((item) => (typeof item === 'string' ? '[redacted]' : withoutSecrets(item, depth + 1)));
  return typeof value === 'string' ? '[redacted]' : withoutSecrets(value, depth);
}
