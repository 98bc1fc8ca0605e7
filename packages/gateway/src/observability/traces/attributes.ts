import type { Attributes } from '@opentelemetry/api';
import type { Content } from '@open-autoglm/protocol';
import type { RequestProfile } from '../profile/request-profile.ts';
import { segmentOrder } from '../profile/segment-times.ts';

const routes = {
  chat: '/v1/chat/completions',
  text_completion: '/v1/completions',
  embeddings: '/v1/embeddings',
  classification: '/v1/classify',
} as const;
const modelLengthMax = 256;

/**
 * What a finished request was, in the words of OpenTelemetry's GenAI conventions, and in ours where they have none. Times in seconds there,
 * in ms here.
 */
export function attributesOf(profile: RequestProfile): Attributes {
  const { start, model, bottleneck, firstTokenAtMs, choices } = profile;
  const times = profile.times();
  const finishReasons = choices.flatMap(({ finishReason }) => finishReason ?? []);
  const firstTokenSeconds = firstTokenAtMs === undefined ? undefined : (firstTokenAtMs - start.startedAtMs) / 1000;
  return {
    'gen_ai.operation.name': start.operation,
    'gen_ai.provider.name': 'open-autoglm',
    'gen_ai.request.model': model?.slice(0, modelLengthMax),
    'gen_ai.request.stream': model === undefined ? undefined : profile.stream,
    'gen_ai.request.max_tokens': profile.maxTokens,
    'gen_ai.request.choice.count': profile.choiceCount > 1 ? profile.choiceCount : undefined,
    'gen_ai.response.finish_reasons': finishReasons.length > 0 ? finishReasons : undefined,
    'gen_ai.response.time_to_first_chunk': firstTokenSeconds,
    'gen_ai.server.time_to_first_token': firstTokenSeconds,
    'gen_ai.server.time_per_output_token': profile.secondsPerToken,
    'gen_ai.usage.input_tokens': profile.isPromptKnown ? profile.promptTokens : undefined,
    'gen_ai.usage.output_tokens': choices.length > 0 ? profile.completionTokens : undefined,
    'gen_ai.usage.cache_read.input_tokens': profile.isPromptKnown ? profile.cachedTokens : undefined,
    'http.request.method': 'POST',
    'http.route': routes[start.operation],
    'http.response.status_code': profile.status,
    'error.type': profile.code,
    'autoglm.request_id': start.requestId,
    'autoglm.outcome': profile.outcome,
    'autoglm.engine': profile.engine,
    'autoglm.tier': profile.tier,
    'autoglm.cache': profile.cache,
    'autoglm.rules': profile.rules?.map(({ rule }) => rule),
    'autoglm.bottleneck.segment': bottleneck?.segment,
    'autoglm.bottleneck.cause': bottleneck?.cause,
    'autoglm.bottleneck.detail': bottleneck?.detail,
    'autoglm.bottleneck.duration_ms': bottleneck?.durationMs,
    'autoglm.bottleneck.expected_ms': bottleneck?.expectedMs,
    ...Object.fromEntries(segmentOrder.map((segment) => [`autoglm.segment.${segment}_ms`, times[segment]])),
  };
}

/** What was asked and answered, as the conventions write messages: JSON in a string. */
export function contentAttributes({ input, answers }: Content): Attributes {
  return {
    'gen_ai.input.messages': JSON.stringify(input.map(({ role, text }) => ({ role, parts: [{ type: 'text', content: text }] }))),
    'gen_ai.output.messages': JSON.stringify(answers.map((text) => ({ role: 'assistant', parts: [{ type: 'text', content: text }] }))),
  };
}
