import {
  AutoglmError,
  type CompressionMethod,
  type CompressionOptions,
  type DocumentOptions,
  type FitOptions,
  type GatewayRequest,
} from '@open-autoglm/protocol';
import Type from 'typebox';
import { createValidator } from './validate.ts';

const closed = { additionalProperties: false } as const;
const tokens = Type.Optional(
  Type.Union([Type.Integer({ minimum: 1, maximum: 10_000_000 }), Type.Null()], { title: 'an integer from 1 to 10000000' }),
);

const validateFit = createValidator(
  Type.Object(
    {
      prompt_tokens_max: tokens,
      reserve_tokens: tokens,
      recent_turns: Type.Optional(
        Type.Union([Type.Integer({ minimum: 1, maximum: 1000 }), Type.Null()], { title: 'an integer from 1 to 1000' }),
      ),
    },
    closed,
  ),
);

const methods: readonly CompressionMethod[] = ['off', 'template', 'dedupe', 'extract', 'adaptive'];
const methodTitle = `one of ${methods.join(', ')}`;
const method = Type.Union(
  methods.map((name) => Type.Literal(name)),
  { title: methodTitle },
);
const rateTitle = 'a number from 0.05 to 0.95';
const validateCompression = createValidator(
  Type.Object(
    { method, rate: Type.Optional(Type.Union([Type.Number({ minimum: 0.05, maximum: 0.95 }), Type.Null()], { title: rateTitle })) },
    closed,
  ),
);

const documentsMax = 256;
const text = Type.Union(
  [
    Type.String(),
    Type.Object({ text: Type.String(), title: Type.Optional(Type.Union([Type.String({ maxLength: 512 }), Type.Null()])) }, closed),
  ],
  { title: 'a string, or {"title": "…", "text": "…"}' },
);
const validateDocuments = createValidator(
  Type.Object(
    {
      texts: Type.Array(text, { minItems: 1, maxItems: documentsMax, title: `an array of 1 to ${documentsMax} texts` }),
      mode: Type.Union([Type.Literal('embed'), Type.Literal('summarize')], { title: '"embed" or "summarize"' }),
      model: Type.Optional(Type.Union([Type.String({ minLength: 1, maxLength: 512 }), Type.Null()], { title: 'the name of a model' })),
      tokens_max: tokens,
    },
    closed,
  ),
);

/** Extensions about what becomes of a prompt before anybody reads it; only the body has them. */
export const inputFields = {
  fit: Type.Optional(Type.Union([Type.Boolean(), Type.Object({}), Type.Null()], { title: 'true, false or an object' })),
  compression: Type.Optional(Type.Union([method, Type.Object({}), Type.Null()], { title: `${methodTitle}, or an object with a method` })),
  documents: Type.Optional(Type.Union([Type.Object({}), Type.Null()], { title: 'an object with texts and a mode' })),
};

interface Extensions {
  readonly fit?: boolean | object | null;
  readonly compression?: CompressionMethod | object | null;
  readonly documents?: object | null;
}

/** Reads them. Throws `invalid_value` or `unknown_parameter` by the field. */
export function inputOptions(extensions: Extensions | null | undefined): Pick<GatewayRequest, 'fit' | 'compression' | 'documents'> {
  const { fit, compression, documents } = extensions ?? {};
  return {
    ...(fit !== undefined && fit !== null && { fit: toFit(fit) }),
    ...(compression !== undefined && compression !== null && { compression: toCompression(compression) }),
    ...(documents && { documents: toDocuments(documents) }),
  };
}

function toCompression(asked: CompressionMethod | object): CompressionOptions {
  if (typeof asked === 'string') return { method: asked };
  const { method: name, rate } = validateCompression(asked, 'autoglm.compression');
  if (rate !== undefined && rate !== null && name !== 'extract') {
    const param = 'autoglm.compression.rate';
    throw new AutoglmError('invalid_value', `Invalid value for '${param}': only the method "extract" has a rate.`, { param });
  }
  return { method: name, rate: rate ?? undefined };
}

function toDocuments(asked: object): DocumentOptions {
  const { texts, mode, model, tokens_max: tokensMax } = validateDocuments(asked, 'autoglm.documents');
  if (model && mode !== 'embed') {
    const param = 'autoglm.documents.model';
    throw new AutoglmError('invalid_value', `Invalid value for '${param}': only the mode "embed" has a model of its own.`, { param });
  }
  return {
    mode,
    model: model ?? undefined,
    tokensMax: tokensMax ?? undefined,
    texts: texts.map((entry) => (typeof entry === 'string' ? { text: entry } : { text: entry.text, title: entry.title ?? undefined })),
  };
}

function toFit(asked: boolean | object): FitOptions | false {
  if (asked === false) return false;
  if (asked === true) return {};
  const {
    prompt_tokens_max: promptTokensMax,
    reserve_tokens: reserveTokens,
    recent_turns: recentTurns,
  } = validateFit(asked, 'autoglm.fit');
  if (promptTokensMax && reserveTokens) {
    const param = 'autoglm.fit.reserve_tokens';
    throw new AutoglmError('invalid_value', `Invalid value for '${param}': 'prompt_tokens_max' says already what the prompt may have.`, {
      param,
    });
  }
  return {
    promptTokensMax: promptTokensMax ?? undefined,
    reserveTokens: reserveTokens ?? undefined,
    recentTurns: recentTurns ?? undefined,
  };
}
