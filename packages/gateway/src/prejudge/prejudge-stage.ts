import { AutoglmError, type ErrorCode, type GatewayRequest, type Lane, type Stage, type StreamPart } from '@open-autoglm/protocol';
import { deferred } from '../common/deferred.ts';
import { fixedAnswer } from './fixed-answer.ts';
import { InFlight, keyOf } from './in-flight.ts';
import type { Rule } from './rule-file.ts';
import type { Judgement, RuleSet } from './rule-set.ts';

/** The rules that hold at this moment. A request is judged by those that held when it came. */
export interface RuleSource {
  readonly current: RuleSet;
}

/** Whom a request may ask. */
export interface KnownModels {
  /** Throws `model_not_found`. */
  find(name: string): unknown;
}

/** Answers, refuses or labels a request before it costs a token. What it says is in the answer's `autoglm.prejudge`. */
export function createPrejudgeStage(source: RuleSource, models: KnownModels, inFlight = new InFlight()): Stage {
  return (request, next) =>
    deferred(async () => {
      const startedAt = performance.now();
      const rules = source.current;
      const key = rules.needsDuplicates ? keyOf(request) : undefined;
      const judgement = rules.judge(request, key !== undefined && inFlight.has(key));
      tell(request, judgement);
      request.emit({ type: 'segment-end', segment: 'prejudge', durationMs: performance.now() - startedAt, reason: 'rules' });
      const { rule, param } = judgement.met.at(-1) ?? {};
      if (rule?.refuse && !rule.watch) throw refusal(rule, param);
      if (rule?.answer !== undefined && !rule.watch) {
        // A wrong name would be found out by the first question that no rule answers.
        models.find(request.model);
        return fixedAnswer(request, rule.answer);
      }
      const parts = next(labelled(request, judgement));
      return key === undefined ? parts : until(parts, inFlight.enter(key));
    });
}

function tell({ emit }: GatewayRequest, judgement: Judgement): void {
  const { met, unscanned } = judgement;
  for (const { rule } of met) emit({ type: 'rule-met', rule: rule.name, verdict: verdictOf(rule), isWatched: rule.watch ?? false });
  if (met.length === 0 && unscanned === 0) return;
  const labels = labelsOf(judgement);
  const followed = met.filter(({ rule }) => !rule.watch);
  emit({
    type: 'answer-note',
    name: 'prejudge',
    value: {
      ...(followed.length > 0 && { rules: followed.map(({ rule }) => rule.name) }),
      ...(labels && { labels }),
      ...(unscanned > 0 && { unscanned_characters: unscanned }),
    },
  });
}

function verdictOf(rule: Rule): 'refuse' | 'answer' | 'label' {
  if (rule.refuse) return 'refuse';
  return rule.answer === undefined ? 'label' : 'answer';
}

/** Where two rules give one label, the first in the file does. */
function labelsOf({ met }: Judgement): Record<string, string> | undefined {
  const given = met.flatMap(({ rule }) => (rule.label && !rule.watch ? [rule.label] : []));
  return given.length > 0 ? (Object.assign({}, ...given.toReversed()) as Record<string, string>) : undefined;
}

function labelled(request: GatewayRequest, judgement: Judgement): GatewayRequest {
  const labels = labelsOf(judgement);
  if (!labels) return request;
  return { ...request, labels, ...(labels['lane'] !== undefined && { lane: labels['lane'] as Lane }) };
}

const codes: Readonly<Record<number, ErrorCode>> = {
  403: 'request_refused',
  409: 'duplicate_request',
  413: 'payload_too_large',
  422: 'request_unprocessable',
};

function refusal({ name, refuse, empty, larger_than: largerThan, duplicate }: Rule, param: string | undefined): AutoglmError {
  const status = refuse?.status ?? (empty ? 422 : largerThan ? 413 : duplicate ? 409 : 403);
  return new AutoglmError(codes[status] as ErrorCode, `${refuse?.message ?? defaultMessages[status]} (rule "${name}")`, {
    param,
    ...(status === 409 && { retryAfterSeconds: 1 }),
  });
}

const defaultMessages: Readonly<Record<number, string>> = {
  403: 'This server does not take such requests.',
  409: 'The same request is under way already.',
  413: 'The request is larger than this server takes.',
  422: 'There is nothing in the request that could be answered.',
};

/** The same parts, and what is to be done when they end, are left or fail. */
async function* until(parts: AsyncIterable<StreamPart>, done: () => void): AsyncGenerator<StreamPart> {
  try {
    yield* parts;
  } finally {
    done();
  }
}
