import { bottleneckFields } from '../bottleneck/bottleneck-fields.ts';
import type { RequestProfile } from '../profile/request-profile.ts';
import { segmentOrder, toThousandths } from '../profile/segment-times.ts';
import { describeError } from './describe-error.ts';

/** What the log says of a finished request. Times in ms; what is unknown is not there. Contents are, where they were captured. */
export function accessLine(profile: RequestProfile, hasContents: boolean): Record<string, unknown> {
  const { start, choices, bottleneck, firstTokenAtMs, traceContext, content, cause } = profile;
  const times = profile.times();
  const finishReasons = choices.flatMap(({ finishReason }) => finishReason ?? []);
  return {
    request_id: start.requestId,
    trace_id: traceContext?.traceparent.split('-')[1],
    operation: start.operation,
    model: profile.model,
    stream: profile.model === undefined ? undefined : profile.stream,
    status: profile.status,
    outcome: profile.outcome,
    code: profile.code,
    engine: profile.engine,
    tier: profile.tier,
    cache: profile.cache,
    rules: profile.rules?.map(({ rule }) => rule),
    finish_reasons: finishReasons.length > 0 ? finishReasons : undefined,
    prompt_tokens: profile.isPromptKnown ? profile.promptTokens : undefined,
    cached_tokens: profile.isPromptKnown ? profile.cachedTokens : undefined,
    completion_tokens: choices.length > 0 ? profile.completionTokens : undefined,
    ttft_ms: firstTokenAtMs === undefined ? undefined : toThousandths(firstTokenAtMs - start.startedAtMs),
    tpot_ms: profile.secondsPerToken === undefined ? undefined : toThousandths(profile.secondsPerToken * 1000),
    total_ms: toThousandths(times.total ?? 0),
    segments_ms: Object.fromEntries(
      segmentOrder.flatMap((segment) =>
        segment === 'total' || times[segment] === undefined ? [] : [[segment, toThousandths(times[segment])]],
      ),
    ),
    bottleneck: bottleneck && bottleneckFields(bottleneck),
    error: cause === undefined || profile.status < 500 ? undefined : describeError(cause, hasContents),
    ...(hasContents && content && { input: content.input, answers: content.answers }),
  };
}
