import { ConfigError } from './common/config-error.ts';
import type { ModelCatalog } from './common/model-catalog.ts';
import type { Config } from './config/schema.ts';
import { levelsOf } from './config/tiers.ts';
import { readPolicyFile, type CascadePolicy } from './router/tiers/policy/index.ts';
import type { CascadeOptions } from './router/tiers/cascade-options.ts';
import { OutcomeRecorder } from './router/tiers/outcome-recorder.ts';

/** What the configuration says of the cascade, its policies read: all but who is there. */
export type CascadePlan = Omit<CascadeOptions, 'isReachable' | 'isRemote' | 'now' | 'recorder'>;

/** Undefined where there is none. Throws `ConfigError` for a policy that cannot be used. */
export function planCascade({ tiers, engines }: Config): CascadePlan | undefined {
  if (!tiers.enabled) return undefined;
  const policies = new Map<string, CascadePolicy>();
  const policyOf = (file: string) => {
    const policy = policies.get(file) ?? readPolicy(file, tiers.decide);
    policies.set(file, policy);
    return policy;
  };
  const scores = Object.entries(tiers.scores_min).filter(([, least]) => least > 0);
  return {
    model: tiers.model,
    levels: levelsOf(tiers, engines).map(({ tier, model, first_token_ms: firstTokenMs, answer_ms: answerMs, policy_file: file }) => ({
      tier,
      model,
      firstTokenMs,
      answerMs,
      policy: file === undefined ? undefined : policyOf(file),
    })),
    decide: tiers.decide,
    strongShare: tiers.strong_share,
    scoresMin: Object.fromEntries(scores),
    heldCharactersMax: tiers.held_characters_max,
  };
}

/** With who is there by what the catalog knows. */
export function cascadeOptions(plan: CascadePlan, catalog: ModelCatalog, recorder: OutcomeRecorder | undefined): CascadeOptions {
  const isLost = (state: string) => state === 'unreachable' || state === 'failed' || state === 'closed';
  return {
    ...plan,
    isReachable: (model) =>
      catalog.find(model).targets.some(({ replica, device }) => !isLost(replica.status.state) && (device?.mayTake('text') ?? true)),
    isRemote: (model) => catalog.isRemote(model),
    recorder,
    now: () => performance.now(),
  };
}

const recordBytesMax = 64 * 1024 * 1024;

/** What writes the cascade's outcomes, where the configuration wants it. Throws `ConfigError` where it cannot. */
export function openRecorder(
  { enabled, record }: Config['tiers'],
  onProblem: (problem: string | undefined) => void,
): OutcomeRecorder | undefined {
  if (!enabled || !record) return undefined;
  try {
    return new OutcomeRecorder({
      file: record.file,
      hasContents: record.contents ?? false,
      bytesMax: record.bytes_max ?? recordBytesMax,
      now: Date.now,
      onProblem,
    });
  } catch (error) {
    throw new ConfigError(`tiers.record.file: ${(error as Error).message}.`);
  }
}

function readPolicy(file: string, decide: CascadePlan['decide']): CascadePolicy {
  let policy: CascadePolicy;
  try {
    policy = readPolicyFile(file);
  } catch (error) {
    throw new ConfigError(`tiers.policy_file: ${(error as Error).message}.`);
  }
  if (decide === 'answer' && !policy.answer)
    throw new ConfigError(
      `tiers.policy_file: ${file} was learned without answers, so it can only decide by the prompt: tiers.decide: prompt.`,
    );
  return policy;
}
