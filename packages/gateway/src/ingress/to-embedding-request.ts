import type { IncomingHttpHeaders } from 'node:http';
import Type from 'typebox';
import type { ParsedTexts } from './serve-texts.ts';
import { checkTextBody, readTextOptions, readTexts, textFields, textsMax } from './text-fields.ts';
import { createValidator, optional } from './validate.ts';

export interface ParsedEmbeddings extends ParsedTexts {
  readonly encodingFormat: 'float' | 'base64';
  readonly dimensions: number | undefined;
  readonly truncate: boolean;
  /** The client's own words, but for `autoglm`. */
  readonly fields: Readonly<Record<string, unknown>>;
}

const fields = {
  ...textFields,
  encoding_format: optional(Type.Union([Type.Literal('float'), Type.Literal('base64')]), '"float" or "base64"'),
  dimensions: optional(Type.Integer({ minimum: 1, maximum: 65_536 }), 'an integer from 1 to 65536'),
};

const validate = createValidator(Type.Object(fields, { additionalProperties: false }));
/** Another server may know fields of its own. */
const validateRemote = createValidator(Type.Object(fields));

/** Throws `invalid_json`, `missing_parameter`, `unknown_parameter`, `invalid_value`, each naming the field. */
export function parseEmbeddings(body: unknown, headers: IncomingHttpHeaders, isRemote: boolean): ParsedEmbeddings {
  checkTextBody(body);
  const { autoglm, ...own } = (isRemote ? validateRemote : validate)(body);
  return {
    model: own.model,
    inputs: readTexts(own.input, textsMax),
    encodingFormat: own.encoding_format ?? 'float',
    dimensions: own.dimensions ?? undefined,
    ...readTextOptions(autoglm, headers),
    fields: own,
  };
}
