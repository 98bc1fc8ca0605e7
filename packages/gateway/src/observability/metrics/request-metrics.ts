import type { Registry } from 'prom-client';
import type { RequestStart } from '../../common/request-start.ts';
import type { SegmentTimes } from '../profile/segment-times.ts';
import type { RequestProfile } from '../profile/request-profile.ts';
import * as buckets from './buckets.ts';
import type { CounterSeries, HistogramSeries } from './families.ts';
import { CounterFamily, HistogramFamily } from './families.ts';
import type { ModelLabels } from './model-labels.ts';

/** Levels at which the response cache may answer, and not. */
const cacheResults = ['exact', 'semantic', 'inflight', 'miss', 'off'] as const;
/**
 * Counts finished requests, under the names of vLLM's metrics and of OpenTelemetry's GenAI conventions, and under our own
 * where the field has none. Once for each request: nothing happens for a token.
 */
export class RequestMetrics {
  readonly #models: ModelLabels;
  readonly #families: Families;
  readonly #byModel = new Map<string, ModelSeries>();
  /** By model and operation. There are as many in all as models have labels, times the errors of the one table. */
  readonly #ends = new Map<string, Record<RequestStart['operation'], Map<string | undefined, EndSeries>>>();

  constructor(registry: Registry, models: ModelLabels) {
    this.#models = models;
    this.#families = createFamilies(registry);
    for (const result of cacheResults) this.#families.cache.series({ result });
  }

  take(profile: RequestProfile): void {
    const model = this.#models.of(profile.model);
    const times = profile.times();
    const perToken = profile.secondsPerToken;
    this.#observeEnd(profile, this.#endOf(profile, model), times, perToken);
    if (profile.cache) this.#families.cache.series({ result: profile.cache }).add();
    for (const [by, tokens] of profile.tokensSpared ?? []) this.#families.spared.series({ model_name: model, by }).add(tokens);
    if (profile.limit) this.#families.limits.series({ result: profile.limit.result, source: profile.limit.source }).add();
    for (const [name, spent] of profile.spentBefore ?? []) {
      const series = this.#seriesOf(this.#models.of(name));
      series.promptTokensTotal.add(spent.promptTokens);
      series.completionTokensTotal.add(spent.completionTokens);
    }
    for (const { tier, reason } of profile.passedTiers ?? []) this.#families.passedTiers.series({ tier, reason }).add();
    if (profile.outcome !== 'answered') return;
    const series = this.#seriesOf(model);
    this.#observe(profile, series, times, perToken);
    for (const { finishReason } of profile.choices) if (finishReason !== undefined) this.#countFinish(series, model, finishReason);
  }

  #observeEnd(
    { outcome, firstTokenAtMs, start }: RequestProfile,
    series: EndSeries,
    times: Readonly<SegmentTimes>,
    perToken: number | undefined,
  ): void {
    series.requests.add();
    series.duration.observe(seconds(times.total));
    // Both are of successful responses only.
    if (outcome !== 'answered') return;
    if (firstTokenAtMs !== undefined) series.firstToken?.observe(seconds(firstTokenAtMs - start.startedAtMs));
    if (perToken !== undefined) series.perToken?.observe(perToken);
  }

  #observe(profile: RequestProfile, series: ModelSeries, times: Readonly<SegmentTimes>, perToken: number | undefined): void {
    const { prefill, decode, upstream } = times;
    const { promptTokens, completionTokens, firstTokenAtMs, start, maxTokens } = profile;
    series.duration.observe(seconds(times.total));
    if (firstTokenAtMs !== undefined) series.firstToken.observe(seconds(firstTokenAtMs - start.startedAtMs));
    if (perToken !== undefined) series.perToken.observe(perToken);
    observeSegments(series.segments, times);
    if (times.queue !== undefined) series.queue.observe(seconds(times.queue));
    if (prefill !== undefined) series.prefill.observe(seconds(prefill));
    if (decode !== undefined) series.decode.observe(seconds(decode));
    if (prefill !== undefined || upstream !== undefined)
      series.inference.observe(seconds((prefill ?? 0) + (decode ?? 0) + (upstream ?? 0)));
    if (profile.isPromptKnown) series.promptTokens.observe(promptTokens);
    series.completionTokens.observe(completionTokens);
    series.promptTokensTotal.add(promptTokens);
    series.cachedTokensTotal.add(profile.cachedTokens);
    series.completionTokensTotal.add(completionTokens);
    series.choices.observe(profile.choiceCount);
    if (maxTokens !== undefined) series.maxTokens.observe(maxTokens);
  }

  /** What a code says of outcome and status is settled in the table of errors. */
  #endOf(profile: RequestProfile, model: string): EndSeries {
    const ends = this.#ends.get(model) ?? { chat: new Map(), text_completion: new Map(), embeddings: new Map(), classification: new Map() };
    this.#ends.set(model, ends);
    const byCode = ends[profile.start.operation];
    const series = byCode.get(profile.code) ?? openEnd(this.#families, profile, model);
    byCode.set(profile.code, series);
    return series;
  }

  #countFinish({ finished }: ModelSeries, model: string, reason: string): void {
    const series = finished.get(reason) ?? this.#families.finished.series({ model_name: model, finished_reason: reason });
    finished.set(reason, series);
    series.add();
  }

  #seriesOf(model: string): ModelSeries {
    const found = this.#byModel.get(model) ?? openSeries(this.#families, model);
    this.#byModel.set(model, found);
    return found;
  }
}

/** Requests that ended alike, in OpenTelemetry's words and in ours. */
interface EndSeries {
  readonly requests: CounterSeries;
  readonly duration: HistogramSeries;
  readonly firstToken?: HistogramSeries;
  readonly perToken?: HistogramSeries;
}

function openEnd(
  { requests, genAiDuration, genAiFirstToken, genAiPerToken }: Families,
  { start, outcome = 'failed', status, code }: RequestProfile,
  model: string,
): EndSeries {
  const { operation } = start;
  const counted = requests.series({ model_name: model, operation, outcome, status: String(status), code: code ?? '' });
  const labels = { gen_ai_operation_name: operation, gen_ai_provider_name: 'open-autoglm', gen_ai_request_model: model };
  if (code !== undefined) return { requests: counted, duration: genAiDuration.series({ ...labels, error_type: code }) };
  return {
    requests: counted,
    duration: genAiDuration.series(labels),
    firstToken: genAiFirstToken.series(labels),
    perToken: genAiPerToken.series(labels),
  };
}

type Families = ReturnType<typeof createFamilies>;
type ModelSeries = ReturnType<typeof openSeries>;

function createFamilies(registry: Registry) {
  const counter = (name: string, help: string, ...labelNames: string[]) => new CounterFamily({ registry, name, help, labelNames });
  const histogram = (name: string, help: string, bounds: readonly number[]) => new HistogramFamily({ registry, name, help, bounds });
  return {
    firstToken: histogram('vllm:time_to_first_token_seconds', 'Time to first token in seconds.', buckets.firstTokenSeconds),
    perToken: histogram(
      'vllm:request_time_per_output_token_seconds',
      'Mean time per output token of a request in seconds, without the first.',
      buckets.tokenSeconds,
    ),
    duration: histogram('vllm:e2e_request_latency_seconds', 'End to end request latency in seconds.', buckets.requestSeconds),
    queue: histogram(
      'vllm:request_queue_time_seconds',
      'Time that a request waited for a place in the batch, in seconds.',
      buckets.requestSeconds,
    ),
    prefill: histogram('vllm:request_prefill_time_seconds', 'Time spent reading the prompt, in seconds.', buckets.requestSeconds),
    decode: histogram(
      'vllm:request_decode_time_seconds',
      'Time spent generating after the first token, in seconds.',
      buckets.requestSeconds,
    ),
    inference: histogram(
      'vllm:request_inference_time_seconds',
      'Time that a request held its place in an engine, in seconds.',
      buckets.requestSeconds,
    ),
    promptTokens: histogram('vllm:request_prompt_tokens', 'Prompt tokens of a request.', buckets.tokenCounts),
    completionTokens: histogram('vllm:request_generation_tokens', 'Generated tokens of a request.', buckets.tokenCounts),
    choices: histogram('vllm:request_params_n', 'The request parameter n.', buckets.choiceCounts),
    maxTokens: histogram('vllm:request_params_max_tokens', 'The request parameter max_tokens.', buckets.tokenCounts),
    promptTokensTotal: counter(
      'vllm:prompt_tokens_total',
      'Prompt tokens of answered requests, and of what was asked on the way to an answer: what documents say.',
      'model_name',
    ),
    cachedTokensTotal: counter(
      'vllm:prompt_tokens_cached_total',
      'Prompt tokens of answered requests that were in a KV cache already.',
      'model_name',
    ),
    completionTokensTotal: counter(
      'vllm:generation_tokens_total',
      'Generated tokens of answered requests, and of what was asked on the way to an answer.',
      'model_name',
    ),
    finished: counter(
      'vllm:request_success_total',
      'Choices that were generated to their end, by the reason of the end.',
      'model_name',
      'finished_reason',
    ),
    genAiDuration: histogram(
      'gen_ai_server_request_duration_seconds',
      'Generative AI server request duration such as time-to-last byte or last output token.',
      buckets.genAiRequestSeconds,
    ),
    genAiFirstToken: histogram(
      'gen_ai_server_time_to_first_token_seconds',
      'Time to generate first token for successful responses.',
      buckets.genAiFirstTokenSeconds,
    ),
    genAiPerToken: histogram(
      'gen_ai_server_time_per_output_token_seconds',
      'Time per output token generated after the first token for successful responses.',
      buckets.genAiTokenSeconds,
    ),
    segments: histogram('autoglm_segment_duration_seconds', 'Time of an answered request by segment, in seconds.', buckets.requestSeconds),
    requests: counter(
      'autoglm_requests_total',
      'Requests to generate, by how they ended.',
      'model_name',
      'operation',
      'outcome',
      'status',
      'code',
    ),
    spared: counter(
      'autoglm_prompt_tokens_spared_total',
      'Tokens by which prompts were made shorter than they were sent, by what did it.',
      'model_name',
      'by',
    ),
    limits: counter(
      'autoglm_rate_limit_decisions_total',
      'Requests that have limits, by what these said and where the buckets are; fallback: Redis did not answer, and this gateway decided alone.',
      'result',
      'source',
    ),
    passedTiers: counter('autoglm_tier_passed_total', 'Tiers of a cascade that did not answer a request, by why.', 'tier', 'reason'),
    cache: counter(
      'autoglm_response_cache_lookups_total',
      'Questions to the response cache, by what it had: hits are exact, semantic and inflight.',
      'result',
    ),
  };
}

function openSeries(families: Families, model: string) {
  const labels = { model_name: model };
  const segment = (name: string) => families.segments.series({ ...labels, segment: name });
  return {
    firstToken: families.firstToken.series(labels),
    perToken: families.perToken.series(labels),
    duration: families.duration.series(labels),
    queue: families.queue.series(labels),
    prefill: families.prefill.series(labels),
    decode: families.decode.series(labels),
    inference: families.inference.series(labels),
    promptTokens: families.promptTokens.series(labels),
    completionTokens: families.completionTokens.series(labels),
    choices: families.choices.series(labels),
    maxTokens: families.maxTokens.series(labels),
    promptTokensTotal: families.promptTokensTotal.series(labels),
    cachedTokensTotal: families.cachedTokensTotal.series(labels),
    completionTokensTotal: families.completionTokensTotal.series(labels),
    /** By reason. */
    finished: new Map<string, CounterSeries>(),
    segments: {
      prejudge: segment('prejudge'),
      input: segment('input'),
      cache: segment('cache'),
      queue: segment('queue'),
      prefill: segment('prefill'),
      decode: segment('decode'),
      upstream: segment('upstream'),
      output: segment('output'),
      other: segment('other'),
    },
  };
}

function seconds(milliseconds = 0): number {
  return milliseconds / 1000;
}

function observeSegments(series: ModelSeries['segments'], times: Readonly<SegmentTimes>): void {
  observeKnown(series.prejudge, times.prejudge);
  observeKnown(series.input, times.input);
  observeKnown(series.cache, times.cache);
  observeKnown(series.queue, times.queue);
  observeKnown(series.prefill, times.prefill);
  observeKnown(series.decode, times.decode);
  observeKnown(series.upstream, times.upstream);
  observeKnown(series.output, times.output);
  observeKnown(series.other, times.other);
}

function observeKnown(series: HistogramSeries, durationMs: number | undefined): void {
  if (durationMs !== undefined) series.observe(durationMs / 1000);
}
