import { AutoglmError } from '@open-autoglm/protocol';

type Body = Readonly<Record<string, unknown>>;

interface UnsupportedField {
  readonly what: string;
  /** Values that ask for nothing. */
  readonly harmless?: (value: unknown) => boolean;
}

/** Fields of OpenAI's API that this version cannot honour. */
const unsupportedFields: Readonly<Record<string, UnsupportedField>> = {
  functions: { what: 'Function calling', harmless: (value) => Array.isArray(value) && value.length === 0 },
  function_call: { what: 'Function calling', harmless: (value) => value === 'none' || value === 'auto' },
  audio: { what: 'Audio output' },
  modalities: { what: 'Output other than text', harmless: (value) => Array.isArray(value) && value.length === 1 && value[0] === 'text' },
  prediction: { what: 'Predicted output' },
  reasoning_effort: { what: 'Choosing the reasoning effort' },
  verbosity: { what: 'Choosing the verbosity' },
  web_search_options: { what: 'Web search' },
  store: { what: 'Storing answers', harmless: (value) => value === false },
  service_tier: { what: 'Choosing a service tier', harmless: (value) => value === 'auto' || value === 'default' },
  best_of: { what: 'Choosing the best of several answers', harmless: (value) => value === 1 },
  echo: { what: 'Repeating the prompt', harmless: (value) => value === false },
  suffix: { what: 'Inserting before a suffix', harmless: (value) => value === '' },
};

/**
 * Takes out known fields that ask for nothing, and throws `unsupported_feature` for those that ask for what this version lacks: nothing
 * is accepted and then ignored. Throws `unknown_parameter` for what is neither one of them nor one of `fields`: before a copy is made
 * of a million of them.
 */
export function withoutUnsupported(body: Body, fields: object): Body {
  const rest: Record<string, unknown> = {};
  for (const name of Object.keys(body)) {
    const value = body[name];
    if (Object.hasOwn(fields, name)) {
      rest[name] = value;
      continue;
    }
    const field = Object.hasOwn(unsupportedFields, name) ? unsupportedFields[name] : undefined;
    if (!field) throw new AutoglmError('unknown_parameter', `Unknown parameter: '${name}'.`, { param: name });
    if (value !== null && !field.harmless?.(value))
      throw new AutoglmError('unsupported_feature', `${field.what} ('${name}') is not available in this version.`, { param: name });
  }
  return rest;
}

/** Content parts that are well-formed for OpenAI, but not text. */
export function refuseOtherParts(content: unknown, param: string): void {
  if (!Array.isArray(content)) return;
  for (const [index, part] of content.entries()) {
    const type = (part as { type?: unknown } | null)?.type;
    if (type === 'image_url' || type === 'input_audio' || type === 'file') {
      throw new AutoglmError(
        'unsupported_feature',
        `Content of type ${JSON.stringify(type)} is not available in this version; send text.`,
        { param: `${param}[${index}].type` },
      );
    }
  }
}
