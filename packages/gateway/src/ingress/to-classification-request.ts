import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';
import Type from 'typebox';
import type { ParsedTexts } from './serve-texts.ts';
import { checkTextBody, readTextOptions, readTexts, textFields, textsMax } from './text-fields.ts';
import { createValidator, optional } from './validate.ts';

export interface ParsedClassification extends ParsedTexts {
  /** Absent: the model knows its own. */
  readonly labels: readonly string[] | undefined;
  readonly temperature: number | undefined;
  readonly truncate: boolean;
  /** The client's own words, but for `autoglm`. */
  readonly fields: Readonly<Record<string, unknown>>;
}

const labelsMax = 256;
const fields = {
  ...textFields,
  labels: optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), { minItems: 2, maxItems: labelsMax }),
    `an array of 2 to ${labelsMax} strings of 1 to 1024 characters`,
  ),
  temperature: optional(Type.Number({ minimum: 0.001, maximum: 100 }), 'a number from 0.001 to 100'),
};

const validate = createValidator(Type.Object(fields, { additionalProperties: false }));
/** A server that classifies by itself knows what it is asked: of labels and whatever else it has. */
const validateRemote = createValidator(Type.Object(textFields));

/** Throws `invalid_json`, `missing_parameter`, `unknown_parameter`, `invalid_value`, each naming the field. */
export function parseClassification(body: unknown, headers: IncomingHttpHeaders, isRemote: boolean): ParsedClassification {
  checkTextBody(body);
  const { autoglm, ...own } = isRemote ? validateRemote(body) : validate(body);
  const { labels, temperature } = isRemote ? {} : (own as { labels?: string[] | null; temperature?: number | null });
  const repeated = labels?.find((label, index) => labels.indexOf(label) < index);
  if (repeated !== undefined)
    throw new AutoglmError('invalid_value', `Invalid value for 'labels': ${JSON.stringify(repeated)} is there twice.`, { param: 'labels' });
  return {
    model: own.model,
    inputs: readTexts(own.input, textsMax - (labels?.length ?? 0)),
    labels: labels ?? undefined,
    temperature: temperature ?? undefined,
    ...readTextOptions(autoglm, headers),
    fields: own,
  };
}
