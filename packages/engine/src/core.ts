import { isDeepStrictEqual } from 'node:util';
import { AutoglmError, type ContextStrategy, type FinishReason, type GeneratePart, type GenerateRequest, type Lane } from '@open-autoglm/protocol';
import { ConstraintCompiler } from './constraints/compiler.ts';
import { boundContext, type ContextBounds } from './context/bounds.ts';
import { dropBlocks } from './context/drop-blocks.ts';
import { mapAttention } from './context/map-attention.ts';
import type { LoadedModel } from './model.ts';
import { checkLogitBias } from './sampler/logit-bias.ts';
import { createSamplerScratch, type SamplerScratch } from './sampler/sampler.ts';
import { batchPlaces, LaneShare, placesFor } from './scheduler/lane-share.ts';
import { chunkGranularity, countAdmissible, PromptBudget, type SchedulerLimits } from './scheduler/plan.ts';
import { chooseYielder } from './scheduler/preemption.ts';
import { PromptCosts } from './scheduler/prompt-costs.ts';
import { countLanes, defaultSharing, inTurn, laneOf, type SharingLimits } from './scheduler/standing.ts';
import { chooseVictim } from './scheduler/victim.ts';
import { createSequence, leavePlace, takePlace, type Sequence } from './sequence.ts';
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
import { areEqual } from './token-list.ts';

export { ConstraintCompiler } from './constraints/compiler.ts';
export { openModel, type LoadedModel, type ModelOptions, type ModelTuning } from './model.ts';
export { verifyWidths } from './speculation/draft-length.ts';
export { learnStepCosts, stepCostsFor, type Speculation } from './speculation/learn-step-costs.ts';

export interface CoreLimits extends SchedulerLimits {
  /** Requests that may wait for a place in the batch. */
  readonly maxQueue: number;
  /** With it, tokens are drafted by prompt lookup where verifying them pays; no answer changes. */
  readonly stepCosts?: StepCosts | undefined;
  /** Sequences share keys and values whatever their `cacheScope`. */
  readonly isSharedBetweenScopes?: boolean | undefined;
  /** For requests that name none; `full` when absent. */
  readonly contextStrategy?: ContextStrategy | undefined;
  /** `defaultSharing` when absent. */
  readonly sharing?: SharingLimits | undefined;
}

/** What one step brought for a sequence. */
export interface StepOutput {
  readonly id: string;
  readonly part: GeneratePart;
}

/** Sequences, scheduler, runner and samplers, joined by `step`. Knows nothing of processes. */
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
  readonly #sharing: SharingLimits;
  readonly #laneShare: LaneShare;
  /** In the order of arrival, those that lost their place too. */
  #waiting: Sequence[] = [];
  #prefilling: Sequence[] = [];
  readonly #decoding = new Map<string, Sequence>();
  #arrivals = 0;
  #suspensions = 0;
  /** Sequences that held a place when the step began. */
  #runningBefore = 0;
  /** The last that found no memory, or lost its own; undefined once any was given back, or that one left: nobody joins before. */
  #short: Sequence | undefined;

  /** Throws `invalid_value` when the context strategy does not fit the model. `gcMs`: of the collector's pauses so far. */
  constructor(model: LoadedModel, limits: CoreLimits, now: () => number = () => performance.now(), gcMs: () => number = () => 0) {
    this.#model = model;
    this.#limits = limits;
    this.#now = now;
    this.tokenizer = new PromptTokenizer(model);
    this.#delays = new DelayAccount(() => ({ missingCoresMs: model.device.missingCoresMs, gcMs: gcMs() }));
    this.#sharing = limits.sharing ?? defaultSharing;
    this.#laneShare = new LaneShare(this.#sharing.batchShareMin);
    this.#speculator = limits.stepCosts && new Speculator(limits.stepCosts);
    this.#scratch = createSamplerScratch(model.vocabulary.size);
    this.#constraints = new ConstraintCompiler(model.vocabulary);
    this.#bounds = limits.contextStrategy && boundContext(limits.contextStrategy, model.info.contextLength, 'model_config.context_strategy');
  }

  get idle(): boolean {
    return this.#waiting.length === 0 && this.#prefilling.length === 0 && this.#decoding.size === 0;
  }

  stats(): CoreStats {
    const { usedTokens, capacityTokens } = this.#model.cache.usage;
    return {
      running: this.#runningCount,
      waiting: this.#waiting.length,
      kvUsedTokens: usedTokens,
      kvCapacityTokens: capacityTokens,
      suspensions: this.#suspensions,
      ...(this.#speculator && { drafts: { ...this.#speculator.drafts } }),
      ...this.#counters.snapshot(),
    };
  }

  /** Queues a request. Throws `queue_full`, `context_length_exceeded`, `invalid_value`. */
  add(request: GenerateRequest): void {
    this.#checkQueue();
    checkLogitBias(request, this.#model.vocabulary.size);
    const bounds = this.#boundsOf(request);
    const prompt = this.tokenizer.now(this.#readingOf(request, bounds));
    if (prompt.length === 0) throw new AutoglmError('invalid_value', 'The prompt has no tokens.', { param: 'prompt' });
    const constraint = request.grammar && this.#constraints.create(request.grammar);
    this.#arrivals += 1;
    const { contextLength } = this.#model.info;
    this.#waiting.push(createSequence({ request, prompt, contextLength, bounds, constraint, scratch: this.#scratch, delays: new SequenceDelays(this.#delays), now: this.#now(), order: this.#arrivals }));
  }

  /** Forgets a request and frees its place at once. Unknown ids, such as of answers just ended, are ignored. */
  abort(id: string): void {
    this.#waiting = this.#waiting.filter((sequence) => sequence.id !== id);
    this.#prefilling = this.#prefilling.filter((sequence) => sequence.id !== id);
    this.#decoding.delete(id);
    this.#release(id);
  }

  /** The tokens of a request's prompt, of a long one by another thread: with them, `add` takes no time. Throws as `add`, or the signal's reason. */
  async readPrompt(request: GenerateRequest, signal?: AbortSignal): Promise<number[]> {
    this.#checkQueue();
    return this.tokenizer.aside(this.#readingOf(request, this.#boundsOf(request)), signal);
  }

  /** One token for every sequence that decodes, then as many prompt tokens as the budget allows. */
  step(): StepOutput[] {
    const outputs: StepOutput[] = [];
    this.#makeRoom();
    this.#runningBefore = this.#runningCount;
    const decoded = this.#decode(outputs);
    const budget = new PromptBudget(decoded.tokens, this.#limits, this.#promptCosts.slope);
    const promptCount = this.#readPrompts(budget, outputs);
    this.#counters.add({ decodingCount: decoded.sequences, promptCount, outputs, endedAtMs: this.#now() });
    return outputs;
  }

  get #runningCount(): number {
    return this.#prefilling.length + this.#decoding.size;
  }

  get #running(): Sequence[] {
    return [...this.#prefilling, ...this.#decoding.values()];
  }

  /** Prompts that are being read, then those that join, lane by lane. Returns how many were read from. */
  #readPrompts(budget: PromptBudget, outputs: StepOutput[]): number {
    if (this.#prefilling.length + this.#waiting.length === 0) return 0;
    const turn = { ...this.#sharing, nowMs: this.#now() };
    const wantsBatch = [...this.#prefilling, ...this.#waiting].some((sequence) => laneOf(sequence) === 'batch');
    const read = { realtime: 0, batch: 0 };
    let promptCount = 0;
    for (const lane of this.#laneShare.order(wantsBatch)) {
      const left = budget.left;
      for (const sequence of inTurn(this.#prefilling, lane, turn)) promptCount += this.#prefill(sequence, budget, outputs);
      promptCount += this.#admit(lane, inTurn(this.#waiting, lane, turn), budget, outputs);
      read[lane] = left - budget.left;
    }
    if (wantsBatch) this.#laneShare.onPrompts(read);
    return promptCount;
  }

  /** Gives each sequence memory for its next tokens, the oldest first; where there is none, others lose theirs. */
  #makeRoom(): void {
    const byAge = this.#running.sort((a, b) => a.order - b.order);
    for (const sequence of byAge) {
      while (this.#isRunning(sequence) && !this.#makeRoomFor(sequence)) {
        const victim = chooseVictim(this.#running);
        if (!victim) throw new AutoglmError('engine_failed', 'The system has no memory left for the KV cache of a single sequence.');
        this.#suspend(victim);
      }
    }
  }

  #isRunning(sequence: Sequence): boolean {
    return this.#decoding.has(sequence.id) || this.#prefilling.includes(sequence);
  }

  #makeRoomFor(sequence: Sequence): boolean {
    const { id, computed, context, tokens } = sequence;
    if (context.isFull(computed)) {
      const outcome = dropBlocks(this.#model, sequence);
      if (outcome === 'lost') this.#suspend(sequence);
      if (outcome !== 'dropped') return outcome === 'lost';
    }
    if (this.#decoding.has(id)) return this.#model.cache.reserve(id, context.rows(computed + 1));
    // A prompt was given memory for all of it, unless it wants again what it gave away.
    return context.droppedTokens === 0 || this.#model.cache.reserve(id, context.rowsWanted(tokens.length + 1));
  }

  /** It waits for memory, and then computes again what has gone meanwhile. */
  #suspend(sequence: Sequence): void {
    this.#setAside(sequence);
    this.#short = sequence;
  }

  #setAside(sequence: Sequence): void {
    this.#model.cache.suspend(sequence.id, sequence.tokens.all, sequence.computed);
    this.#prefilling = this.#prefilling.filter((other) => other !== sequence);
    this.#decoding.delete(sequence.id);
    leavePlace(sequence, this.#now());
    sequence.delays.pause();
    const younger = this.#waiting.findIndex(({ order }) => order > sequence.order);
    this.#waiting.splice(younger === -1 ? this.#waiting.length : younger, 0, sequence);
    this.#suspensions += 1;
  }

  #release(id: string): void {
    // One that waits gives nothing back; where memory is short for it alone, whoever comes next may want less.
    if (this.#model.cache.release(id) || this.#short?.id === id) this.#short = undefined;
  }

  /** Lets those of a lane in that wait, in turn, and reads their prompts as far as the budget goes. Returns how many prompts were read from. */
  #admit(lane: Lane, waiting: Sequence[], budget: PromptBudget, outputs: StepOutput[]): number {
    let promptCount = 0;
    // Others of the first one's prompt may have joined along with it.
    // One batch at a time is filled at once, however long it takes to read.
    for (let next = waiting.shift(); next && (budget.hasRoom || !this.#limits.continuous); next = waiting.shift()) {
      if (!this.#waiting.includes(next)) continue;
      if (!this.#join(lane, next)) break;
      if (next.generated > 0 && next.computed >= next.prompt.length) {
        this.#decoding.set(next.id, next);
        continue;
      }
      this.#prefilling.push(next);
      promptCount += this.#prefill(next, budget, outputs);
    }
    return promptCount;
  }

  /** Gives a sequence a place and memory, another's where nobody has any to spare; false: it goes on waiting. */
  #join(lane: Lane, sequence: Sequence): boolean {
    // Where nothing runs, nobody will give memory back: whoever waits is tried whatever was found before.
    if (this.#runningCount === 0) this.#short = undefined;
    if ((this.#short || this.#freePlaces(lane) <= 0) && !this.#giveWay(sequence)) return false;
    while (!this.#acquire(sequence)) {
      if (this.#runningCount === 0) throw new AutoglmError('engine_failed', 'The system has no memory left for the KV cache of a single sequence.');
      if (this.#giveWay(sequence)) continue;
      this.#short = sequence;
      return false;
    }
    this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
    return true;
  }

  #freePlaces(lane: Lane): number {
    const free = countAdmissible(this.#runningBefore, this.#limits) - (this.#runningCount - this.#runningBefore);
    return placesFor(lane, free, countLanes(this.#running), countLanes(this.#waiting), this.#batchPlacesMin);
  }

  get #batchPlacesMin(): number {
    return batchPlaces(this.#limits.maxBatchSize, this.#sharing.batchShareMin);
  }

  /** Whether another sequence has given its place to this one. */
  #giveWay(sequence: Sequence): boolean {
    if (!this.#limits.continuous) return false;
    const yielder = chooseYielder(this.#running, sequence, { ...this.#sharing, batchPlacesMin: this.#batchPlacesMin, nowMs: this.#now() });
    if (yielder) this.#setAside(yielder);
    return yielder !== undefined;
  }

  #acquire(sequence: Sequence): boolean {
    const found = this.#model.cache.acquire({
      sequence: sequence.id,
      tokens: sequence.tokens.all,
      promptLength: sequence.prompt.length,
      scope: this.#scopeOf(sequence),
      // Those that run will soon want a block each: without it, whoever joins would be the next to go.
      spareTokens: this.#runningCount * chunkGranularity,
      ...(sequence.context.bounds && { tokensMax: sequence.context.bounds.tokensMax, findableTokens: sequence.context.wholeTokens }),
    });
    if (found === undefined) return false;
    takePlace(sequence, found, this.#now());
    sequence.delays.begin();
    return true;
  }

  #scopeOf({ request }: Sequence): string {
    return this.#limits.isSharedBetweenScopes ? '' : (request.cacheScope ?? '');
  }

  /** Those that decode in this step: with time slices, not always all. */
  #decodingNow(): string[] {
    const ids = [...this.#decoding.keys()];
    if (this.#sharing.batchYields !== 'time_slice') return ids;
    const running = countLanes(this.#running);
    if (running.realtime === 0 || running.batch === 0 || this.#laneShare.takeStep()) return ids;
    return ids.filter((id) => laneOf(this.#decoding.get(id) as Sequence) === 'realtime');
  }

  /** Returns how much was computed. */
  #decode(outputs: StepOutput[]): { readonly sequences: number; readonly tokens: number } {
    const sequences = this.#arrange(this.#decodingNow());
    if (sequences.length === 0) return { sequences: 0, tokens: 0 };
    const drafts = this.#speculator?.draft(sequences, ({ id, context }, length) => context.hasRoomFor(length) && this.#model.cache.reserve(id, context.rows(length))) ?? [];
    const queries = widthOf(drafts);
    const { graphsBuilt } = this.#model.runner;
    const { missingCoresMs } = this.#model.device;
    const since = this.#now();
    const logits = this.#computeStep(sequences, drafts, queries);
    const milliseconds = this.#now() - since;
    // A step that had to build its graph does not tell what the next ones take.
    const isTypical = this.#model.runner.graphsBuilt === graphsBuilt;
    if (isTypical) this.#speculator?.observe(sequences, queries, milliseconds);
    const sharedMs = this.#delays.onDecode({ sequences: sequences.length, queries, milliseconds, missingCoresMs: this.#model.device.missingCoresMs - missingCoresMs, isTypical });
    for (const { delays } of sequences) delays.onDecode(milliseconds, sharedMs);
    for (const [index, sequence] of sequences.entries()) this.#advance(sequence, drafts[index] ?? [], logits.slice(index * queries, (index + 1) * queries), outputs);
    return { sequences: sequences.length, tokens: sequences.length * queries };
  }

  /** In the order of their slots, without those that the system had no memory to move. */
  #arrange(ids: readonly string[]): readonly Sequence[] {
    const lengthOf = (id: string) => {
      const { context, computed } = this.#withPlace(id);
      return context.rows(computed);
    };
    for (let left = ids; ; left = left.filter((id) => this.#decoding.has(id))) {
      if (left.length === 0) return [];
      const arranged = this.#model.cache.arrange(left, lengthOf);
      if (arranged.kind === 'arranged') return arranged.order.map((id) => this.#withPlace(id));
      this.#suspend(this.#withPlace(arranged.sequence));
    }
  }

  #withPlace(id: string): Sequence {
    return (this.#decoding.get(id) ?? this.#prefilling.find((other) => other.id === id)) as Sequence;
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
      const isRight = accepted < drafted.length && this.#decoding.has(sequence.id) && sequence.tokens.at(sequence.computed) === drafted[accepted];
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
    const logits = this.#model.runner.prefill(this.#model.cache.slotOf(id), prompt.subarray(start, end), context.rows(start), wantsLogits, known);
    const milliseconds = this.#now() - since;
    this.#promptCosts.add({ computed: context.rows(start), count: end - start, milliseconds });
    this.#delays.onPrompt(milliseconds);
    sequence.delays.onPrompt(milliseconds);
    sequence.computed = end;
    if (!this.#model.cache.commit(id, prompt, end)) {
      this.#suspend(sequence);
      return 1;
    }
    if (end === prompt.length) {
      this.#prefilling = this.#prefilling.filter((other) => other !== sequence);
      this.#decoding.set(id, sequence);
    }
    if (logits) this.#endPrompt(sequence, logits, outputs);
    return 1;
  }

  /** Others that began alike may have read on since it joined: nothing is computed twice. False: it has lost its place. */
  #catchUp(sequence: Sequence): boolean {
    const { id, prompt, context, computed, suspensions } = sequence;
    const known = this.#model.cache.catchUp(id, prompt.subarray(0, context.wholeTokens), computed);
    if (known === undefined) {
      this.#suspend(sequence);
      return false;
    }
    sequence.computed = known;
    // What it had before it lost its place may be its own.
    if (suspensions.count === 0) sequence.cachedTokens += known - computed;
    return true;
  }

  /** The first token, of the sequence and of those that came after it with the same prompt and wait: other choices of one request. */
  #endPrompt(sequence: Sequence, logits: Float32Array, outputs: StepOutput[]): void {
    const sequences = [sequence];
    const next = () => this.#waiting.findIndex(({ order }) => order === sequence.order + sequences.length);
    for (let index = next(); index >= 0 && this.#fork(sequence, this.#waiting[index] as Sequence); index = next()) sequences.push(...this.#waiting.splice(index, 1));
    for (const begun of sequences) {
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

  #fork(parent: Sequence, child: Sequence): boolean {
    const isTwin = child.generated === 0 && this.#scopeOf(child) === this.#scopeOf(parent) && areEqual(child.prompt, parent.prompt) && isDeepStrictEqual(child.context.bounds, parent.context.bounds);
    if (!isTwin || !this.#limits.continuous || this.#freePlaces(laneOf(child)) <= 0) return false;
    if (!this.#model.cache.fork(parent.id, child.id, parent.context.rows(parent.prompt.length))) return false;
    child.context.continueFrom(parent.context);
    takePlace(child, parent.prompt.length, this.#now());
    this.#decoding.set(child.id, child);
    return true;
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
      part: { type: 'text-end', finishReason, completionTokens: sequence.generated, decodeMs: this.#now() - sequence.firstTokenAt - suspendedMs, delays, ...(attention && { attention }), ...(count > 0 && { suspensions: { count, milliseconds: suspendedMs } }) },
    });
    this.#decoding.delete(sequence.id);
    this.#release(sequence.id);
  }

  /** Requests that will be let in at the next step wait for nothing, and are not counted. */
  #checkQueue(): void {
    const queued = this.#waiting.length - (this.#limits.maxBatchSize - this.#runningCount);
    if (queued < this.#limits.maxQueue) return;
    throw new AutoglmError('queue_full', `The engine has ${queued} requests waiting already.`, { retryAfterSeconds: 1 });
  }

  #readingOf({ prompt }: GenerateRequest, bounds: ContextBounds | undefined): Reading<number[]> {
    return bounds ? this.tokenizer.read(prompt) : this.tokenizer.readFitting(prompt);
  }

  #boundsOf({ contextStrategy }: GenerateRequest): ContextBounds | undefined {
    return contextStrategy ? boundContext(contextStrategy, this.#model.info.contextLength, 'autoglm.context_strategy') : this.#bounds;
  }
}
