import { AutoglmError, type ContextStrategy, type FinishReason, type GeneratePart, type GenerateRequest } from '@open-autoglm/protocol';
import { ConstraintCompiler } from './constraints/compiler.ts';
import { boundContext, type ContextBounds } from './context/bounds.ts';
import { dropBlocks } from './context/drop-blocks.ts';
import { mapAttention } from './context/map-attention.ts';
import type { LoadedModel } from './model.ts';
import { checkLogitBias } from './sampler/logit-bias.ts';
import { createSamplerScratch, type SamplerScratch } from './sampler/sampler.ts';
import { chunkGranularity, PromptBudget } from './scheduler/plan.ts';
import { PromptCosts } from './scheduler/prompt-costs.ts';
import { Scheduler, type PlaceLimits } from './scheduler/scheduler.ts';
import { createSequence, type Sequence } from './sequence.ts';
import { noToken } from './runner/runner.ts';
import { Speculator, widthOf } from './speculation/speculator.ts';
import type { StepCosts } from './speculation/step-costs.ts';
import { DelayAccount, SequenceDelays } from './stats/delay-account.ts';
import type { CoreStats } from './stats/stats-reporter.ts';
import { StepCounters } from './stats/step-counters.ts';
import { describeChoice } from './text/describe-choice.ts';
import type { Reading } from './text/fitting-tokens.ts';
import { PromptTokenizer } from './text/prompt-tokenizer.ts';
import { lastText } from './text/stop-matcher.ts';

export { ConstraintCompiler } from './constraints/compiler.ts';
export { openModel, type LoadedModel, type ModelOptions, type ModelTuning } from './model.ts';
export { verifyWidths } from './speculation/draft-length.ts';
export { learnStepCosts, stepCostsFor, type Speculation } from './speculation/learn-step-costs.ts';

export interface CoreLimits extends PlaceLimits {
  /** With it, tokens are drafted by prompt lookup where verifying them pays; no answer changes. */
  readonly stepCosts?: StepCosts | undefined;
  /** For requests that name none; `full` when absent. */
  readonly contextStrategy?: ContextStrategy | undefined;
}

/** What one step brought for a sequence. */
export interface StepOutput {
  readonly id: string;
  readonly part: GeneratePart;
}

/** Scheduler, runner and samplers, which do not know each other, joined by `step`. Knows nothing of processes. */
export class EngineCore {
  readonly tokenizer: PromptTokenizer;
  readonly #model: LoadedModel;
  readonly #limits: CoreLimits;
  readonly #now: () => number;
  readonly #scratch: SamplerScratch;
  readonly #counters = new StepCounters();
  readonly #delays: DelayAccount;
  readonly #speculator: Speculator | undefined;
  readonly #promptCosts = new PromptCosts();
  readonly #constraints: ConstraintCompiler;
  /** Of requests that do not say what gives way. */
  readonly #bounds: ContextBounds | undefined;
  readonly #scheduler: Scheduler;
  #arrivals = 0;

  /** Throws `invalid_value` when the context strategy does not fit the model. `gcMs`: of the collector's pauses so far. */
  constructor(model: LoadedModel, limits: CoreLimits, now: () => number = () => performance.now(), gcMs: () => number = () => 0) {
    this.#model = model;
    this.#limits = limits;
    this.#now = now;
    this.tokenizer = new PromptTokenizer(model);
    this.#delays = new DelayAccount(() => ({ missingCoresMs: model.device.missingCoresMs, gcMs: gcMs() }));
    this.#scheduler = new Scheduler({ cache: model.cache, limits, now, dropBlocks: (sequence) => dropBlocks(model, sequence) });
    this.#speculator = limits.stepCosts && new Speculator(limits.stepCosts);
    this.#scratch = createSamplerScratch(model.vocabulary.size);
    this.#constraints = new ConstraintCompiler(model.vocabulary);
    this.#bounds =
      limits.contextStrategy && boundContext(limits.contextStrategy, model.info.contextLength, 'model_config.context_strategy');
  }

  get idle(): boolean {
    return this.#scheduler.isIdle;
  }

  stats(): CoreStats {
    const { usedTokens, capacityTokens } = this.#model.cache.usage;
    const { runningCount, waitingCount, suspensions } = this.#scheduler;
    return {
      running: runningCount,
      waiting: waitingCount,
      kvUsedTokens: usedTokens,
      kvCapacityTokens: capacityTokens,
      suspensions,
      ...(this.#speculator && { drafts: { ...this.#speculator.drafts } }),
      ...this.#counters.snapshot(),
    };
  }

  /** Queues a request. Throws `queue_full`, `context_length_exceeded`, `invalid_value`. */
  add(request: GenerateRequest): void {
    this.#scheduler.checkQueue();
    checkLogitBias(request, this.#model.vocabulary.size);
    const bounds = this.#boundsOf(request);
    const prompt = this.tokenizer.now(this.#readingOf(request, bounds));
    if (prompt.length === 0) throw new AutoglmError('invalid_value', 'The prompt has no tokens.', { param: 'prompt' });
    const constraint = request.grammar && this.#constraints.create(request.grammar);
    this.#arrivals += 1;
    const { contextLength } = this.#model.info;
    this.#scheduler.add(
      createSequence({
        request,
        prompt,
        contextLength,
        bounds,
        constraint,
        scratch: this.#scratch,
        delays: new SequenceDelays(this.#delays),
        now: this.#now(),
        order: this.#arrivals,
      }),
    );
  }

  /** Forgets a request and frees its place at once. Unknown ids, such as of answers just ended, are ignored. */
  abort(id: string): void {
    this.#scheduler.remove(id);
  }

  /**
   * The tokens of a request's prompt, of a long one by another thread: with them, `add` takes no time. Throws as `add`, or the signal's
   * reason.
   */
  async readPrompt(request: GenerateRequest, signal?: AbortSignal): Promise<number[]> {
    this.#scheduler.checkQueue();
    return this.tokenizer.aside(this.#readingOf(request, this.#boundsOf(request)), signal);
  }

  /** One token for every sequence that decodes, then as many prompt tokens as the budget allows. */
  step(): StepOutput[] {
    const outputs: StepOutput[] = [];
    this.#scheduler.beginStep();
    const decoded = this.#decode(outputs);
    const budget = new PromptBudget(decoded.tokens, this.#limits, this.#promptCosts.slope);
    let promptCount = 0;
    for (const sequence of this.#scheduler.takePrompts(budget)) promptCount += this.#prefill(sequence, budget, outputs);
    this.#counters.add({ decodingCount: decoded.sequences, promptCount, outputs, endedAtMs: this.#now() });
    return outputs;
  }

  /** Returns how much was computed. */
  #decode(outputs: StepOutput[]): { readonly sequences: number; readonly tokens: number } {
    const sequences = this.#scheduler.takeDecoding();
    if (sequences.length === 0) return { sequences: 0, tokens: 0 };
    const drafts =
      this.#speculator?.draft(
        sequences,
        ({ id, context }, length) => context.hasRoomFor(length) && this.#model.cache.reserve(id, context.rows(length)),
      ) ?? [];
    const queries = widthOf(drafts);
    const { graphsBuilt } = this.#model.runner;
    const { missingCoresMs } = this.#model.device;
    const since = this.#now();
    const logits = this.#computeStep(sequences, drafts, queries);
    const milliseconds = this.#now() - since;
    // A step that had to build its graph does not tell what the next ones take.
    const isTypical = this.#model.runner.graphsBuilt === graphsBuilt;
    if (isTypical) this.#speculator?.observe(sequences, queries, milliseconds);
    const sharedMs = this.#delays.onDecode({
      sequences: sequences.length,
      queries,
      milliseconds,
      missingCoresMs: this.#model.device.missingCoresMs - missingCoresMs,
      isTypical,
    });
    for (const { delays } of sequences) delays.onDecode(milliseconds, sharedMs);
    for (const [index, sequence] of sequences.entries())
      this.#advance(sequence, drafts[index] ?? [], logits.slice(index * queries, (index + 1) * queries), outputs);
    return { sequences: sequences.length, tokens: sequences.length * queries };
  }

  #computeStep(sequences: readonly Sequence[], drafts: readonly Int32Array[], queries: number): readonly Float32Array[] {
    const positions = Int32Array.from(sequences, ({ computed, context }) => context.rows(computed));
    const tokens = new Int32Array(sequences.length * queries).fill(noToken);
    for (const [index, sequence] of sequences.entries()) {
      tokens[index * queries] = sequence.tokens.at(sequence.computed);
      tokens.set(drafts[index] ?? [], index * queries + 1);
    }
    return queries === 1 ? this.#model.runner.decode(tokens, positions) : this.#model.runner.verify(tokens, positions, queries);
  }

  /** The token that a step brought a sequence, and those of its draft that turned out to be the ones. */
  #advance(sequence: Sequence, drafted: ArrayLike<number>, logits: readonly Float32Array[], outputs: StepOutput[]): void {
    const known = sequence.tokens.length - sequence.computed - 1;
    let accepted = 0;
    for (;;) {
      sequence.computed += 1;
      // One that lost its place reads again what it had generated: by decoding, as the first time, so that every bit is the same.
      if (sequence.computed === sequence.tokens.length) this.#take(sequence, logits[accepted] as Float32Array, outputs);
      const isRight =
        accepted < drafted.length && this.#scheduler.isDecoding(sequence.id) && sequence.tokens.at(sequence.computed) === drafted[accepted];
      if (!isRight) break;
      accepted += 1;
    }
    // What one that lost its place reads again is no guess.
    if (drafted.length > known) this.#speculator?.count(drafted.length - known, Math.max(0, accepted - known));
  }

  /** Reads a piece of the prompt, as the budget allows. Returns how many prompts were read from: 0 or 1. */
  #prefill(sequence: Sequence, budget: PromptBudget, outputs: StepOutput[]): number {
    const { id, prompt, context } = sequence;
    if (!this.#catchUp(sequence)) return 0;
    // A prompt that is in the cache as a whole is read from its last token on, for its logits.
    const from = Math.min(sequence.computed, prompt.length - 1);
    const count = budget.take({ promptLength: context.rows(prompt.length), computed: context.rows(from), room: context.promptRoom(from) });
    if (count === 0) return 0;
    const end = from + count;
    const start = Math.max(0, Math.min(from, end - chunkGranularity));
    const wantsLogits = end === prompt.length && sequence.generated === 0;
    const known = sequence.computed - start;
    const since = this.#now();
    const logits = this.#model.runner.prefill(
      this.#model.cache.slotOf(id),
      prompt.subarray(start, end),
      context.rows(start),
      wantsLogits,
      known,
    );
    const milliseconds = this.#now() - since;
    this.#promptCosts.add({ computed: context.rows(start), count: end - start, milliseconds });
    this.#delays.onPrompt(milliseconds);
    sequence.delays.onPrompt(milliseconds);
    sequence.computed = end;
    if (!this.#model.cache.commit(id, prompt, end)) {
      this.#scheduler.suspend(sequence);
      return 1;
    }
    if (end === prompt.length) this.#scheduler.beginDecoding(sequence);
    if (logits) this.#endPrompt(sequence, logits, outputs);
    return 1;
  }

  /** Others that began alike may have read on since it joined: nothing is computed twice. False: it has lost its place. */
  #catchUp(sequence: Sequence): boolean {
    const { id, prompt, context, computed, suspensions } = sequence;
    const known = this.#model.cache.catchUp(id, prompt.subarray(0, context.wholeTokens), computed);
    if (known === undefined) {
      this.#scheduler.suspend(sequence);
      return false;
    }
    sequence.computed = known;
    // What it had before it lost its place may be its own.
    if (suspensions.count === 0) sequence.cachedTokens += known - computed;
    return true;
  }

  /** The first token, of the sequence and of its twins. */
  #endPrompt(sequence: Sequence, logits: Float32Array, outputs: StepOutput[]): void {
    for (const begun of [sequence, ...this.#scheduler.takeTwins(sequence)]) {
      begun.firstTokenAt = this.#now();
      const startedAt = begun.startedAt ?? begun.firstTokenAt;
      const part = {
        type: 'prompt-end',
        promptTokens: begun.prompt.length,
        cachedTokens: begun.cachedTokens,
        queueMs: startedAt - begun.arrivedAt + begun.suspensions.msBefore,
        prefillMs: begun.firstTokenAt - startedAt - begun.suspensions.msBefore,
        delays: begun.delays.takePrompt(),
      } as const;
      outputs.push({ id: begun.id, part });
      this.#take(begun, logits, outputs);
    }
  }

  /** Samples a token and says what text it brought; ends the sequence when that was its last. */
  #take(sequence: Sequence, logits: Float32Array, outputs: StepOutput[]): void {
    const token = sequence.sampler.sample(logits);
    if (this.#model.vocabulary.endsGeneration(token)) {
      this.#end(sequence, 'stop', sequence.decoder.flush(), outputs);
      return;
    }
    sequence.sampler.accept(token);
    sequence.tokens.push(token);
    sequence.generated += 1;
    const { text, stopped } = sequence.stopMatcher.push(sequence.decoder.push(this.#model.vocabulary.bytes(token)));
    const { topLogprobs } = sequence.request;
    const logprobs = topLogprobs === undefined ? undefined : [describeChoice(this.#model.vocabulary, logits, token, topLogprobs)];
    outputs.push({ id: sequence.id, part: { type: 'text-delta', text, tokenCount: 1, ...(logprobs && { logprobs }) } });
    if (stopped) this.#end(sequence, 'stop', undefined, outputs);
    else if (sequence.constraint?.isDone) this.#end(sequence, 'stop', sequence.decoder.flush(), outputs);
    else if (sequence.generated >= sequence.maxTokens) this.#end(sequence, 'length', sequence.decoder.flush(), outputs);
  }

  /** `rest` is text still owed; absent when a stop string swallowed it. A stop string in it outweighs a limit. */
  #end(sequence: Sequence, reason: FinishReason, rest: string | undefined, outputs: StepOutput[]): void {
    const last = rest === undefined ? { text: '', stopped: false } : lastText(sequence.stopMatcher, rest);
    if (last.text !== '') outputs.push({ id: sequence.id, part: { type: 'text-delta', text: last.text, tokenCount: 0 } });
    const finishReason = last.stopped ? 'stop' : reason;
    const attention = sequence.request.attention ? mapAttention(this.#model, sequence) : undefined;
    const { count, msAfter: suspendedMs } = sequence.suspensions;
    const delays = sequence.delays.takeDecode();
    outputs.push({
      id: sequence.id,
      part: {
        type: 'text-end',
        finishReason,
        completionTokens: sequence.generated,
        decodeMs: this.#now() - sequence.firstTokenAt - suspendedMs,
        delays,
        ...(attention && { attention }),
        ...(count > 0 && { suspensions: { count, milliseconds: suspendedMs } }),
      },
    });
    this.#scheduler.remove(sequence.id);
  }

  #readingOf({ prompt }: GenerateRequest, bounds: ContextBounds | undefined): Reading<number[]> {
    return bounds ? this.tokenizer.read(prompt) : this.tokenizer.readFitting(prompt);
  }

  #boundsOf({ contextStrategy }: GenerateRequest): ContextBounds | undefined {
    return contextStrategy ? boundContext(contextStrategy, this.#model.info.contextLength, 'autoglm.context_strategy') : this.#bounds;
  }
}
