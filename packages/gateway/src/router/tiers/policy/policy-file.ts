import { readFileSync, statSync } from 'node:fs';
import Type from 'typebox';
import { Check, Errors } from 'typebox/value';
import { hashedSize } from './hashed-words.ts';
import type { CascadePolicy } from './policy.ts';

const closed = { additionalProperties: false } as const;
export const policyFormat = 'open-autoglm cascade policy';
/** Of the features, too: a policy that was learned from others would read these wrongly. */
export const policyVersion = 1;
const bytesMax = 16 * 1024 * 1024;

const numberWeight = Type.Object({ mean: Type.Number(), deviation: Type.Number({ exclusiveMinimum: 0 }), weight: Type.Number() }, closed);
const linearModel = Type.Object(
  {
    intercept: Type.Number(),
    numbers: Type.Record(Type.String(), numberWeight),
    words: Type.Union([
      Type.Array(Type.Number(), { maxItems: 0 }),
      Type.Array(Type.Number(), { minItems: hashedSize, maxItems: hashedSize }),
    ]),
  },
  closed,
);
const gainModel = Type.Object(
  {
    cheap: linearModel,
    strong: linearModel,
    length: Type.Optional(numberWeight),
    gains: Type.Array(Type.Number(), { minItems: 101, maxItems: 101 }),
  },
  closed,
);

const policyFileSchema = Type.Object(
  {
    format: Type.Literal(policyFormat),
    version: Type.Literal(policyVersion),
    /** For people: from what it was learned, and how it did on questions that it had not seen. */
    learned: Type.Object(
      {
        questions: Type.Integer({ minimum: 1 }),
        cheap_right: Type.Number(),
        strong_right: Type.Number(),
        at_half: Type.Record(Type.String(), Type.Number()),
      },
      closed,
    ),
    prompt: gainModel,
    answer: Type.Optional(gainModel),
  },
  closed,
);

export interface PolicyFile extends CascadePolicy {
  readonly format: typeof policyFormat;
  readonly version: typeof policyVersion;
  readonly learned: {
    readonly questions: number;
    readonly cheap_right: number;
    readonly strong_right: number;
    /** Right answers at 50 % strong calls, by how the questions were chosen. */
    readonly at_half: Readonly<Record<string, number>>;
  };
}

/** Reads what `autoglm tune cascade` wrote. Throws an error that says what is wrong with the file, for people. */
export function readPolicyFile(path: string): CascadePolicy {
  let value: unknown;
  try {
    if (statSync(path).size > bytesMax) throw new Error(`it is larger than ${bytesMax} bytes`);
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new Error(`the policy ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return checkPolicyFile(value, path);
}

export function checkPolicyFile(value: unknown, path: string): CascadePolicy {
  const { format, version } = (value ?? {}) as Partial<Record<'format' | 'version', unknown>>;
  if (format !== policyFormat) throw new Error(`${path} is no policy that autoglm tune cascade wrote`);
  if (version !== policyVersion)
    throw new Error(
      `${path} has version ${String(version)}, and this program reads ${policyVersion}: make it anew with autoglm tune cascade`,
    );
  if (!Check(policyFileSchema, value)) {
    const [error] = Errors(policyFileSchema, value);
    throw new Error(`${path} is damaged: ${error?.instancePath || 'it'} ${error?.message ?? 'is not valid'}`);
  }
  return value as PolicyFile;
}
