import { AutoglmError } from '@open-autoglm/protocol';

type Body = Readonly<Record<string, unknown>>;

/** OpenAI's two words for how long an answer may be. */
export const lengthNames = ['max_tokens', 'max_completion_tokens'] as const;

/** Throws `invalid_parameter_combination` where both are said, and not alike. */
export function refuseTwoLengths(body: Partial<Record<(typeof lengthNames)[number], unknown>>): void {
  const [older, newer] = lengthNames.map((name) => body[name]);
  if (typeof older !== 'number' || typeof newer !== 'number' || older === newer) return;
  throw new AutoglmError(
    'invalid_parameter_combination',
    "Setting 'max_tokens' and 'max_completion_tokens' to different values is not supported: both say how long the answer may be.",
    { param: 'max_tokens' },
  );
}

/**
 * The body with no more than this, under the name that it has there: so that whatever is wrong with it is said of the field that was
 * written.
 */
export function withLengthMax(body: Body, tokensMax: number): Body {
  const said = lengthNames.filter((name) => body[name] !== undefined && body[name] !== null);
  if (said.length === 0) return { ...body, max_tokens: tokensMax };
  const lengths = said.map((name) => [name, typeof body[name] === 'number' ? Math.min(body[name], tokensMax) : body[name]] as const);
  return { ...body, ...Object.fromEntries(lengths) };
}
