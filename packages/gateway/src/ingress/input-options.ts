import { AutoglmError, type FitOptions, type GatewayRequest } from '@open-autoglm/protocol';
import Type from 'typebox';
import { createValidator } from './validate.ts';

const closed = { additionalProperties: false } as const;
const tokens = Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 10_000_000 }), Type.Null()], { title: 'an integer from 1 to 10000000' }));

const validateFit = createValidator(
  Type.Object({ prompt_tokens_max: tokens, reserve_tokens: tokens, recent_turns: Type.Optional(Type.Union([Type.Integer({ minimum: 1, maximum: 1000 }), Type.Null()], { title: 'an integer from 1 to 1000' })) }, closed),
);

/** Extensions about what becomes of a prompt before anybody reads it; only the body has them. */
export const inputExtensions: readonly string[] = ['fit'];

/** Their place in the body's schema. */
export const inputFields = {
  fit: Type.Optional(Type.Union([Type.Boolean(), Type.Object({}), Type.Null()], { title: 'true, false or an object' })),
};

interface Extensions {
  readonly fit?: boolean | object | null;
}

/** Reads them. Throws `invalid_value` or `unknown_parameter` by the field. */
export function inputOptions(extensions: Extensions | null | undefined): Pick<GatewayRequest, 'fit'> {
  const fit = extensions?.fit;
  return { ...(fit !== undefined && fit !== null && { fit: toFit(fit) }) };
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
