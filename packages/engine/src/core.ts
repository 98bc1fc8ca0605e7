import { AutoglmError, type FinishReason, type GeneratePart, type GenerateRequest, type Prompt, type TokenLogprob } from '@open-autoglm/protocol';
import { ConstraintCompiler } from './constraints/compiler.ts';
import type { LoadedModel } from './model.ts';
import { scoreToken } from './sampler/logprobs.ts';
import { createSamplerScratch, type SamplerScratch } from './sampler/sampler.ts';
import { planStep, type SchedulerLimits } from './scheduler/plan.ts';
import { createSequence, type Sequence } from './sequence.ts';
import type { CoreStats } from './stats/stats-reporter.ts';
import { StepCounters } from './stats/step-counters.ts';
import type { StopMatcher } from './text/stop-matcher.ts';

export { openModel, type LoadedModel, type ModelOptions, type ModelTuning } from './model.ts';

export interface CoreLimits extends SchedulerLimits {
  /** Requests that may wait for a place in the batch. */
  readonly maxQueue: number;
}

/** What one step brought for a sequence. */
export interface StepOutput {
  readonly id: string;
  readonly part: GeneratePart;
}

/** Sequences, scheduler, runner and samplers, joined by `step`. Knows nothing of processes. */
export class EngineCore {
  readonly #model: LoadedModel;
  readonly #limits: CoreLimits;
  readonly #now: () => number;
  readonly #scratch: SamplerScratch;
  readonly #counters = new StepCounters();
  readonly #constraints: ConstraintCompiler;
  #waiting: Sequence[] = [];
  #prefilling: Sequence[] = [];
  readonly #decoding = new Map<string, Sequence>();

  constructor(model: LoadedModel, limits: CoreLimits, now: () => number = () => performance.now()) {
    this.#model = model;
    this.#limits = limits;
    this.#now = now;
    this.#scratch = createSamplerScratch(model.vocabulary.size);
    this.#constraints = new ConstraintCompiler(model.vocabulary);
  }

  get idle(): boolean {
    return this.#waiting.length === 0 && this.#prefilling.length === 0 && this.#decoding.size === 0;
  }

  stats(): CoreStats {
    const running = [...this.#prefilling, ...this.#decoding.values()];
    return {
      running: running.length,
      waiting: this.#waiting.length,
      kvUsedTokens: running.reduce((sum, { computed }) => sum + computed, 0),
      kvCapacityTokens: this.#model.cache.capacity * this.#model.info.contextLength,
      ...this.#counters.snapshot(),
    };
  }

  /** Queues a request. Throws `queue_full`, `context_length_exceeded`, `invalid_value`. */
  add(request: GenerateRequest): void {
    this.#checkQueue();
    checkLogitBias(request, this.#model.vocabulary.size);
    const prompt = this.tokenize(request.prompt);
    this.#checkPrompt(prompt);
    const constraint = request.grammar && this.#constraints.create(request.grammar);
    this.#waiting.push(createSequence(request, prompt, this.#model.info.contextLength, this.#scratch, constraint, this.#now()));
  }

  /** Forgets a request and frees its place at once. Unknown ids, such as of answers just ended, are ignored. */
  abort(id: string): void {
    this.#waiting = this.#waiting.filter((sequence) => sequence.id !== id);
    this.#prefilling = this.#prefilling.filter((sequence) => sequence.id !== id);
    this.#decoding.delete(id);
    this.#model.cache.release(id);
  }

  /** The prompt's token ids, with the token that every text begins with where the model wants one. */
  tokenize(prompt: Prompt): number[] {
    if ('tokens' in prompt) return this.#checkTokens(prompt.tokens);
    const { vocabulary } = this.#model;
    this.#checkLength(prompt.segments.reduce((sum, segment) => sum + segment.text.length, 0));
    const tokens = prompt.segments.flatMap((segment) => vocabulary.tokenize(segment.text, segment.kind === 'control'));
    const bos = vocabulary.addsBos ? vocabulary.bos : undefined;
    return bos === undefined || tokens[0] === bos ? tokens : [bos, ...tokens];
  }

  /** One token for every sequence that decodes, then as many prompt tokens as the budget allows. */
  step(): StepOutput[] {
    const plan = planStep(
      {
        waiting: this.#waiting.map(progressOf),
        prefilling: this.#prefilling.map(progressOf),
        decodingCount: this.#decoding.size,
      },
      this.#limits,
    );
    const outputs: StepOutput[] = [];
    const decodingCount = this.#decoding.size;
    this.#decode(outputs);
    this.#admit(plan.admitted);
    for (const [index, sequence] of [...this.#prefilling].entries()) this.#prefill(sequence, plan.chunks[index] ?? 0, outputs);
    this.#counters.add({ decodingCount, promptCount: plan.chunks.filter((chunk) => chunk > 0).length, outputs, endedAtMs: this.#now() });
    return outputs;
  }

  #admit(count: number): void {
    for (const sequence of this.#waiting.splice(0, count)) {
      if (!this.#model.cache.acquire(sequence.id)) throw new Error('the scheduler admitted more sequences than the cache holds');
      sequence.startedAt = this.#now();
      this.#prefilling.push(sequence);
    }
  }

  #decode(outputs: StepOutput[]): void {
    if (this.#decoding.size === 0) return;
    const lengthOf = (id: string) => this.#decoding.get(id)?.computed ?? this.#prefilling.find((sequence) => sequence.id === id)?.computed ?? 0;
    const order = this.#model.cache.arrange([...this.#decoding.keys()], lengthOf);
    const sequences = order.map((id) => this.#decoding.get(id) as Sequence);
    const logits = this.#model.runner.decode(
      Int32Array.from(sequences, (sequence) => sequence.lastToken),
      Int32Array.from(sequences, (sequence) => sequence.computed),
    );
    for (const [index, sequence] of sequences.entries()) {
      sequence.computed += 1;
      this.#take(sequence, logits[index] as Float32Array, outputs);
    }
  }

  #prefill(sequence: Sequence, count: number, outputs: StepOutput[]): void {
    if (count === 0) return;
    const end = sequence.computed + count;
    const isLast = end === sequence.prompt.length;
    const logits = this.#model.runner.prefill(this.#model.cache.slotOf(sequence.id), sequence.prompt.subarray(sequence.computed, end), sequence.computed, isLast);
    sequence.computed = end;
    if (!logits) return;
    this.#prefilling = this.#prefilling.filter((other) => other !== sequence);
    this.#decoding.set(sequence.id, sequence);
    sequence.firstTokenAt = this.#now();
    const part = {
      type: 'prompt-end',
      promptTokens: sequence.prompt.length,
      cachedTokens: 0,
      queueMs: sequence.startedAt - sequence.arrivedAt,
      prefillMs: sequence.firstTokenAt - sequence.startedAt,
    } as const;
    outputs.push({ id: sequence.id, part });
    this.#take(sequence, logits, outputs);
  }

  /** Samples a token and says what text it brought; ends the sequence when that was its last. */
  #take(sequence: Sequence, logits: Float32Array, outputs: StepOutput[]): void {
    const token = sequence.sampler.sample(logits);
    if (this.#model.vocabulary.endsGeneration(token)) {
      this.#end(sequence, 'stop', sequence.decoder.flush(), outputs);
      return;
    }
    sequence.sampler.accept(token);
    sequence.lastToken = token;
    sequence.generated += 1;
    const { text, stopped } = sequence.stopMatcher.push(sequence.decoder.push(this.#model.vocabulary.bytes(token)));
    const { topLogprobs } = sequence.request;
    const logprobs = topLogprobs === undefined ? undefined : [this.#score(logits, token, topLogprobs)];
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
    outputs.push({
      id: sequence.id,
      part: { type: 'text-end', finishReason, completionTokens: sequence.generated, decodeMs: this.#now() - sequence.firstTokenAt },
    });
    this.#decoding.delete(sequence.id);
    this.#model.cache.release(sequence.id);
  }

  #score(logits: Float32Array, token: number, topCount: number): TokenLogprob {
    const scores = scoreToken(logits, token, topCount);
    return { ...this.#describe(token, scores.logprob), top: scores.top.map(({ id, logprob }) => this.#describe(id, logprob)) };
  }

  #describe(id: number, logprob: number) {
    const bytes = this.#model.vocabulary.bytes(id);
    // JSON has no −∞; OpenAI reports such tokens as −9999.
    return { token: new TextDecoder().decode(bytes), bytes: Array.from(bytes), logprob: Math.max(logprob, -9999) };
  }

  /** Requests that will be let in at the next step wait for nothing, and are not counted. */
  #checkQueue(): void {
    const running = this.#prefilling.length + this.#decoding.size;
    const queued = this.#waiting.length - (this.#limits.maxBatchSize - running);
    if (queued < this.#limits.maxQueue) return;
    throw new AutoglmError('queue_full', `The engine has ${queued} requests waiting already.`, { retryAfterSeconds: 1 });
  }

  #checkTokens(tokens: readonly number[]): number[] {
    const wrong = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= this.#model.vocabulary.size);
    if (wrong !== undefined) throw new AutoglmError('invalid_value', `Token id ${wrong} is not in the model's vocabulary of ${this.#model.vocabulary.size}.`, { param: 'prompt' });
    return [...tokens];
  }

  /** Refuses before tokenizing what cannot fit however it is cut: no token stands for more text than this. */
  #checkLength(characters: number): void {
    const longestToken = 256;
    const { contextLength } = this.#model.info;
    if (characters <= contextLength * longestToken) return;
    throw new AutoglmError('context_length_exceeded', `The prompt has ${characters} characters, far more than the model's context of ${contextLength} tokens.`, { param: 'messages' });
  }

  #checkPrompt(prompt: readonly number[]): void {
    const { contextLength } = this.#model.info;
    if (prompt.length === 0) throw new AutoglmError('invalid_value', 'The prompt has no tokens.', { param: 'prompt' });
    if (prompt.length < contextLength) return;
    throw new AutoglmError('context_length_exceeded', `The prompt has ${prompt.length} tokens; the model's context of ${contextLength} must hold the prompt and at least one token more.`, { param: 'messages' });
  }
}

/** The text that the matcher still holds, after `rest`. */
function lastText(matcher: StopMatcher, rest: string): { readonly text: string; readonly stopped: boolean } {
  const pushed = matcher.push(rest);
  if (pushed.stopped) return pushed;
  const held = matcher.flush();
  return { text: pushed.text + held.text, stopped: held.stopped };
}

function progressOf(sequence: Sequence): { promptLength: number; computed: number } {
  return { promptLength: sequence.prompt.length, computed: sequence.computed };
}

function checkLogitBias(request: GenerateRequest, vocabularySize: number): void {
  const wrong = Object.keys(request.sampling.logitBias).find((token) => Number(token) >= vocabularySize);
  if (wrong === undefined) return;
  throw new AutoglmError('invalid_value', `Token id ${wrong} is not in the model's vocabulary of ${vocabularySize}.`, { param: 'logit_bias' });
}
