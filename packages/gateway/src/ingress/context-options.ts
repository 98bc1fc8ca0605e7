import { AutoglmError, type ContextStrategy, type GatewayRequest } from '@open-autoglm/protocol';
import Type from 'typebox';
import { createValidator } from './validate.ts';

const tokens = (minimum: number) =>
  Type.Optional(Type.Union([Type.Integer({ minimum, maximum: 10_000_000 }), Type.Null()], { title: `an integer of at least ${minimum}` }));

/** `autoglm.context_strategy`; what the model's context has room for is the engine's to check. */
const strategySchema = Type.Object(
  {
    kind: Type.Union([Type.Literal('full'), Type.Literal('window'), Type.Literal('attention')], {
      title: '"full", "window" or "attention"',
    }),
    sinks: tokens(0),
    window: tokens(256),
  },
  { additionalProperties: false },
);
const validateStrategy = createValidator(strategySchema);

/** Extensions that only the body has. */
export const contextFields = {
  context_strategy: Type.Optional(Type.Union([Type.Object({ kind: Type.Unknown() }), Type.Null()], { title: 'an object with a kind' })),
  attention: Type.Optional(Type.Union([Type.Boolean(), Type.Null()], { title: 'true or false' })),
};

interface Extensions {
  readonly context_strategy?: object | null;
  readonly attention?: boolean | null;
}

/** Reads them. Throws `invalid_value`, `missing_parameter` or `unknown_parameter` by the field. */
export function contextOptions(extensions: Extensions | null | undefined): Pick<GatewayRequest, 'contextStrategy' | 'attention'> {
  const asked = extensions?.context_strategy;
  return { ...(asked && { contextStrategy: toStrategy(asked) }), ...(extensions?.attention && { attention: true }) };
}

function toStrategy(asked: object): ContextStrategy {
  const { kind, sinks, window } = validateStrategy(asked, 'autoglm.context_strategy');
  const sizes = { ...(sinks !== undefined && sinks !== null && { sinks }), ...(window !== undefined && window !== null && { window }) };
  const [given] = Object.keys(sizes);
  if (kind !== 'full') return { kind, ...sizes };
  if (given === undefined) return { kind };
  const param = `autoglm.context_strategy.${given}`;
  throw new AutoglmError('invalid_value', `Invalid value for '${param}': the kind "full" has no such size.`, { param });
}

/** Another server keeps its own context, and tells nothing of its attention. */
export function refuseContextOptions(extensions: Extensions | null | undefined): void {
  const name = extensions?.context_strategy ? 'context_strategy' : extensions?.attention ? 'attention' : undefined;
  if (name === undefined) return;
  throw new AutoglmError('unsupported_feature', `'autoglm.${name}' is not available for a model that another server runs.`, {
    param: `autoglm.${name}`,
  });
}
