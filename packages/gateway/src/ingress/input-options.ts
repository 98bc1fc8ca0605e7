import { AutoglmError, type CompressionMethod, type CompressionOptions, type FitOptions, type GatewayRequest } from '@open-autoglm/protocol';
import Type from 'typebox';
import { createValidator } from './validate.ts';

const closed = { additionalProperties: false } as const;
const tokens = Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 10_000_000 }), Type.Null()], { title: 'an integer from 1 to 10000000' }));

const validateFit = createValidator(
  Type.Object({ prompt_tokens_max: tokens, reserve_tokens: tokens, recent_turns: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 1000 }), Type.Null()], { title: 'an integer from 1 to 1000' })) }, closed),
);

const methods: readonly CompressionMethod[] = ['off', 'template', 'dedupe', 'extract', 'adaptive'];
const methodTitle = `one of ${methods.join(', ')}`;
const method = Type.Union(methods.map((name) => Type.Literal(name)), { title: methodTitle });
const rateTitle = 'a number from 0.05 to 0.95';
const validateCompression = createValidator(Type.Object({ method, rate: Type.Optional(Type.Union([Type.Number({ minimum: 0.05, maximum: 0.95 }), Type.Null()], { title: rateTitle })) }, closed));

/** Extensions about what becomes of a prompt before anybody reads it; only the body has them. */
export const inputExtensions: readonly string[] = ['fit', 'compression'];

/** Their place in the body's schema. */
export const inputFields = {
  fit: Type.Optional(Type.Union([Type.Boolean(), Type.Object({}), Type.Null()], { title: 'true, false or an object' })),
  compression: Type.Optional(Type.Union([method, Type.Object({}), Type.Null()], { title: `${methodTitle}, or an object with a method` })),
};

interface Extensions {
  readonly fit?: boolean | object | null;
  readonly compression?: CompressionMethod | object | null;
}

/** Reads them. Throws `invalid_value` or `unknown_parameter` by the field. */
export function inputOptions(extensions: Extensions | null | undefined): Pick<GatewayRequest, 'fit' | 'compression'> {
  const { fit, compression } = extensions ?? {};
  return { ...(fit !== undefined && fit !== null && { fit: toFit(fit) }), ...(compression !== undefined && compression !== null && { compression: toCompression(compression) }) };
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

function toFit(asked: boolean | object): FitOptions | false {
  if (asked === false) return false;
  if (asked === true) return {};
  const { prompt_tokens_max: promptTokensMax, reserve_tokens: reserveTokens, recent_turns: recentTurns } = validateFit(asked, 'autoglm.fit');
  if (promptTokensMax && reserveTokens) {
    const param = 'autoglm.fit.reserve_tokens';
    throw new AutoglmError('invalid_value', `Invalid value for '${param}': 'prompt_tokens_max' says already what the prompt may have.`, { param });
  }
  return { promptTokensMax: promptTokensMax ?? undefined, reserveTokens: reserveTokens ?? undefined, recentTurns: recentTurns ?? undefined };
}
