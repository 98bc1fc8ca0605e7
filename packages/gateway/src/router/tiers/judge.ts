import type { GatewayRequest, Next } from '@open-autoglm/protocol';
import { gainAt, observeAnswer, observePrompt, predict, type CascadePolicy, type GainModel } from './policy/index.ts';
import { scoreAnswer, scorers, type AnswerSample, type ScoreName, type ScorerName, type Scores } from './scorers/index.ts';
import { selfCheck } from './self-check.ts';

export interface JudgeSettings {
  /** Below its least score an answer is not trusted. Scorers that are not named are not asked. */
  readonly scoresMin: Scores;
  /** How many of the questions the learned policy sends on. */
  readonly strongShare: number;
}

export interface Verdict {
  readonly isTrusted: boolean;
  /** For people. */
  readonly reason: string;
  readonly scores: Scores;
  /** By the learned policy: how much likelier a right answer becomes one tier up. */
  readonly gain?: number;
}

/** Whether a question is for the next tier before anybody has answered it. */
export function judgePrompt(request: GatewayRequest, policy: CascadePolicy, strongShare: number): Verdict {
  return byGain(policy.prompt, predict(policy.prompt, observePrompt(promptOf(request))).gain, strongShare, {});
}

/**
 * Whether an answer may go out. First what it shows of itself, then what the policy has learned, and the model's own opinion last, for
 * that alone costs a call: an opinion that is not there within `opinionMs` is none. Rejects only with the signal's reason.
 */
export async function judgeAnswer(
  request: GatewayRequest,
  samples: readonly AnswerSample[],
  policy: CascadePolicy | undefined,
  { scoresMin, strongShare }: JudgeSettings,
  next: Next,
  opinionMs: number,
): Promise<Verdict> {
  const names = (Object.keys(scorers) as ScorerName[]).filter((name) => scoresMin[name] !== undefined);
  const scores = scoreAnswer(samples, names);
  const low = lowOf(scores, scoresMin);
  if (low) return { isTrusted: false, reason: low, scores };
  const learned =
    policy?.answer &&
    byGain(
      policy.answer,
      Math.max(...samples.map(({ text }) => predict(policy.answer as GainModel, observeAnswer(promptOf(request), text, scores)).gain)),
      strongShare,
      scores,
    );
  if (learned && !learned.isTrusted) return learned;
  if (scoresMin.self_check !== undefined && samples.length === 1) {
    const likely = await selfCheck(request, samples[0]?.text ?? '', next, opinionMs);
    if (likely !== undefined) scores.self_check = likely;
  }
  const doubt = lowOf(scores, scoresMin);
  return {
    isTrusted: doubt === undefined,
    reason: doubt ?? 'its scores are high enough',
    scores,
    ...(learned?.gain !== undefined && { gain: learned.gain }),
  };
}

function lowOf(scores: Scores, scoresMin: Scores): string | undefined {
  const names = Object.keys(scores) as ScoreName[];
  const name = names.find((candidate) => (scores[candidate] as number) < (scoresMin[candidate] ?? 0));
  return name && `its ${name} is ${(scores[name] as number).toFixed(2)}, less than ${scoresMin[name]}`;
}

function byGain(model: GainModel, gain: number, strongShare: number, scores: Scores): Verdict {
  const isTrusted = gain < gainAt(model, strongShare);
  return {
    isTrusted,
    reason: `the policy expects ${isTrusted ? 'too little' : 'enough'} of the next tier: ${gain.toFixed(3)}`,
    scores,
    gain,
  };
}

/** What was asked: the last thing that the user said, or the text to continue. */
export function promptOf({ input }: Pick<GatewayRequest, 'input'>): string {
  if (input.kind === 'chat') return input.messages.findLast(({ role }) => role === 'user')?.content ?? '';
  return input.prompts.filter((prompt) => typeof prompt === 'string').join('\n');
}
