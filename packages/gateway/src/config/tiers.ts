import Type, { type Static } from 'typebox';
import { namesOf, type EngineConfig } from './engines.ts';

const closed = { additionalProperties: false } as const;
const milliseconds = Type.Integer({ minimum: 1, maximum: 86_400_000 });
const score = Type.Number({ minimum: 0, maximum: 1 });
const path = Type.String({ minLength: 1, maxLength: 4096 });

const level = Type.Object(
  {
    tier: Type.Union([Type.Literal('edge'), Type.Literal('region'), Type.Literal('cloud')]),
    /** A name of `engines`; all of its engines must be of this tier. */
    model: Type.String({ minLength: 1, maxLength: 512 }),
    /** Without a first token by then, the next tier is asked, too; 50, 200 and 1000 when not given. */
    first_token_ms: Type.Optional(milliseconds),
    /** The same for a whole answer, where it is held until it is judged. */
    answer_ms: Type.Optional(milliseconds),
    /** Which questions are for the next tier; `tiers.policy_file` when not given. */
    policy_file: Type.Optional(path),
  },
  closed,
);

/** One name for several models of growing size: the smallest that can be trusted with a question answers it. */
export const tiersSchema = Type.Object(
  {
    enabled: Type.Boolean(),
    /** The name that asks for it; models keep their own names. */
    model: Type.String({ minLength: 1, maxLength: 512 }),
    /** From the smallest to the largest; without any, the model of each tier that `engines` have. */
    levels: Type.Array(level, { maxItems: 8 }),
    /**
     * `answer`: each but the last answers, and is judged before anything is sent. `prompt`: the question alone decides, by a policy, and
     * the answer streams at once.
     */
    decide: Type.Union([Type.Literal('answer'), Type.Literal('prompt')]),
    /** What `autoglm tune cascade` wrote. */
    policy_file: Type.Optional(path),
    /** How many of the questions the policy sends on. */
    strong_share: score,
    /** An answer whose score is less goes to the next tier; 0: nobody asks for that score. One file each in `router/tiers/scorers/`. */
    scores_min: Type.Object(
      {
        /** Of the answer's form: 0 for a refusal, for nothing, and for what is not the JSON that was asked for. */
        shape: score,
        /** The tokens' mean probability. */
        logprob: score,
        /** That of the least sure four tokens in a row. */
        weakest_logprob: score,
        /** The share of the sums in it that are right. */
        arithmetic: score,
        /** How sure the model is, asked whether its answer is right; costs a second call. */
        self_check: score,
      },
      closed,
    ),
    /** An answer that is longer goes out unjudged. */
    held_characters_max: Type.Integer({ minimum: 1024, maximum: 16_777_216 }),
    /** What becomes of its questions is written to a file, for `autoglm tune cascade`; nothing is where this is not given. */
    record: Type.Optional(
      Type.Object(
        {
          file: path,
          /** Prompts and answers as well; otherwise what a policy looks at, as numbers. */
          contents: Type.Optional(Type.Boolean()),
          /** Nothing is written beyond; 64 MiB when not given. */
          bytes_max: Type.Optional(Type.Integer({ minimum: 4096, maximum: Number.MAX_SAFE_INTEGER })),
        },
        closed,
      ),
    ),
  },
  closed,
);

type TiersConfig = Static<typeof tiersSchema>;
type LevelConfig = Static<typeof level>;
type Tier = LevelConfig['tier'];

export const defaultTiers: TiersConfig = {
  enabled: false,
  model: 'auto',
  levels: [],
  decide: 'answer',
  strong_share: 0.5,
  scores_min: { shape: 0.5, logprob: 0.5, weakest_logprob: 0, arithmetic: 0.75, self_check: 0 },
  held_characters_max: 262_144,
};

const tierOrder: readonly Tier[] = ['edge', 'region', 'cloud'];
const firstTokenMs: Readonly<Record<Tier, number>> = { edge: 50, region: 200, cloud: 1000 };
const answerMs = 15_000;

export type CompleteLevel = Required<Omit<LevelConfig, 'policy_file'>> & Pick<LevelConfig, 'policy_file'>;

/** The levels with all that was not given. */
export function levelsOf({ levels, policy_file: policyFile }: TiersConfig, engines: readonly EngineConfig[]): CompleteLevel[] {
  const given =
    levels.length > 0
      ? levels
      : tierOrder.flatMap((tier) => {
          const model = engines.find((engine) => engine.tier === tier)?.model;
          return model === undefined ? [] : [{ tier, model }];
        });
  return given.map((entry) => ({
    first_token_ms: firstTokenMs[entry.tier],
    answer_ms: answerMs,
    ...(policyFile !== undefined && { policy_file: policyFile }),
    ...entry,
  }));
}

/** What no schema can see: which key, and what is wrong with it. */
export function problemOfTiers(
  tiers: TiersConfig,
  engines: readonly EngineConfig[],
): { readonly path: readonly string[]; readonly reason: string } | undefined {
  if (!tiers.enabled) return undefined;
  const names = new Set(engines.flatMap((engine) => namesOf(engine, engines)));
  if (names.has(tiers.model)) return { path: ['model'], reason: `is ${JSON.stringify(tiers.model)}, which is the name of a model already` };
  const levels = levelsOf(tiers, engines);
  if (levels.length < 2)
    return { path: ['levels'], reason: 'need at least two models of different tiers: give some of the engines another tier' };
  for (const [index, { tier, model, policy_file: policyFile }] of levels.entries()) {
    const at = tiers.levels.length > 0 ? ['levels', String(index)] : ['levels'];
    const own = engines.filter((engine) => namesOf(engine, engines).includes(model));
    if (own.length === 0)
      return { path: [...at, 'model'], reason: `is ${JSON.stringify(model)}, which no engine has; known models: ${[...names].join(', ')}` };
    const other = own.find((engine) => engine.tier !== tier);
    if (other)
      return {
        path: at,
        reason: `have the model ${JSON.stringify(model)} as ${tier}, and the engine ${other.name} has it as ${other.tier}: give it another model name there, and the server's own as upstream_model`,
      };
    if (tiers.levels.length === 0 && engines.some((engine) => engine.tier === tier && engine.model !== model))
      return { path: at, reason: `must be given: the tier ${tier} has several models` };
    if (levels.findIndex((earlier) => earlier.model === model) !== index)
      return { path: [...at, 'model'], reason: `is ${JSON.stringify(model)} twice` };
    if (tiers.decide === 'prompt' && policyFile === undefined && index < levels.length - 1)
      return { path: ['decide'], reason: 'is prompt, which needs a policy_file: autoglm tune cascade makes one' };
  }
  return undefined;
}
