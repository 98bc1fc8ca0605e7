import { AutoglmError, toAutoglmError, type ErrorCode, type GatewayRequest, type Next, type StreamPart } from '@open-autoglm/protocol';
import { tokensTo } from '../../common/tokens-to.ts';
import { inputKindOf } from '../devices/input-kind.ts';
import type { CascadeOptions, TierLevel } from './cascade-options.ts';
import { judgeAnswer, judgePrompt, promptOf, type Verdict } from './judge.ts';
import type { SeenQuestion } from './outcome-recorder.ts';
import { needsLogprobs, type Scores } from './scorers/index.ts';
import { TierTry } from './tier-try.ts';

export interface TieredAnswerParts {
  readonly options: CascadeOptions;
  readonly withoutLogprobs: Set<string>;
  readonly request: GatewayRequest;
  readonly next: Next;
}

/** Why a tier that was asked, or would have been, does not answer. */
export type PassedReason = 'unreachable' | 'over_budget' | 'failed' | 'low_confidence' | 'too_hard' | 'unsuitable';

/** A tier in the answer's note. */
interface Tried {
  readonly tier: string;
  readonly model: string;
  outcome: PassedReason | 'answered';
  /** Closer, for people. */
  reason?: string;
  /** What was spent on it; absent where it was not asked. */
  ms?: number;
  first_token_ms?: number;
  completion_tokens?: number;
  scores?: Scores;
  gain?: number;
}

/** A tier that was asked. */
interface Asked {
  readonly level: TierLevel;
  attempt: TierTry;
  readonly tried: Tried;
  /** Its tokens' probabilities were asked for, and not by the client. */
  wantsLogprobs: boolean;
  /** Another one was asked while it worked. */
  isBeside: boolean;
  /** Its whole answer, once it was judged. */
  judgedText?: string;
}

/**
 * One request's answer from the cheapest tier that may be trusted with it. A tier's answer is held until it is judged; the last one
 * that can be asked, and one that was chosen by the question alone, streams at once. A tier that is late goes on working while the next
 * one is asked, and answers if that one fails, too.
 */
export async function* answerByTiers(parts: TieredAnswerParts): AsyncGenerator<StreamPart> {
  const walk = new Walk(parts);
  const { recorder, heldCharactersMax } = parts.options;
  let text = '';
  try {
    const attempt = await walk.choose();
    if (!recorder) return yield* attempt.take();
    for await (const part of attempt.take()) {
      if (part.type === 'text-delta' && part.index === 0 && text.length < heldCharactersMax) text += part.text;
      yield part;
    }
    const seen = walk.seen(text);
    // Nothing can be learned of a question without words, such as an image alone.
    if (seen.prompt !== '') recorder.question(seen);
  } finally {
    walk.leave();
  }
}

class Walk {
  readonly #parts: TieredAnswerParts;
  readonly #showsImages: boolean;
  readonly #tried: Tried[] = [];
  readonly #asked: Asked[] = [];
  /** Those that could still answer: not as good as was wanted, but there. The last is the best. */
  readonly #spare: Asked[] = [];
  #failure: AutoglmError | undefined;
  #isTold = false;

  constructor(parts: TieredAnswerParts) {
    this.#parts = parts;
    this.#showsImages = inputKindOf(parts.request) === 'image';
  }

  /** The try whose answer is the answer. Rejects with what kept the highest tier from answering, when nobody does. */
  async choose(): Promise<TierTry> {
    const { levels } = this.#parts.options;
    const from = this.#firstLevel();
    for (let index = from; index < levels.length; index += 1) {
      const asked = await this.#askAt(index);
      if (asked) return this.#settle(asked, asked.tried.reason ?? '', false);
    }
    return (await this.#spareAnswer()) ?? (await this.#lowerAnswer(from)) ?? this.#refuse();
  }

  /** What became of the question, when this was its answer. */
  seen(answer: string): SeenQuestion {
    const {
      request,
      options: { levels },
    } = this.#parts;
    const isOf = (level: TierLevel | undefined) => (asked: Asked) => asked.level === level;
    const [cheap, strong] = [this.#asked.find(isOf(levels[0])), this.#asked.find(isOf(levels.at(-1)))];
    const answered = this.#tried.find(({ outcome }) => outcome === 'answered') as Tried;
    const answerOf = (asked: Asked | undefined) => (asked && asked.tried === answered ? answer : asked?.judgedText);
    return {
      id: request.id,
      tenant: request.tenant,
      prompt: promptOf(request),
      cheapAnswer: answerOf(cheap),
      cheapScores: cheap?.tried.scores,
      strongAnswer: answerOf(strong),
      tier: answered.tier,
      isEscalated: answered.tier !== levels[0]?.tier,
      tried: this.#tried,
    };
  }

  /** Ends whoever still works. Where nobody has answered, what was asked of them counts all the same. Idempotent. */
  leave(): void {
    for (const { attempt } of this.#asked) attempt.leave();
    if (!this.#isTold) this.#tellPassed(undefined);
  }

  /** Where the questions' difficulty alone decides: the lowest level that is not too low. */
  #firstLevel(): number {
    const {
      request,
      options: { decide, levels, strongShare },
    } = this.#parts;
    if (decide === 'answer') return 0;
    for (const [index, level] of levels.entries()) {
      const verdict = level.policy && index < levels.length - 1 ? judgePrompt(request, level.policy, strongShare) : undefined;
      if (!verdict || verdict.isTrusted) return index;
      this.#pass(this.#note(level, verdict), 'too_hard', verdict.reason);
    }
    return levels.length - 1;
  }

  /** Asks this level, and gives it when its answer may go out. Otherwise says why not, and keeps what could still be of use. */
  async #askAt(index: number): Promise<Asked | undefined> {
    const { options } = this.#parts;
    const level = options.levels[index] as TierLevel;
    if (!this.#suits(level)) return this.#pass(this.#note(level), 'unsuitable', 'it sees no images');
    if (!options.isReachable(level.model)) return this.#pass(this.#note(level), 'unreachable', 'its health probe is not answered');
    const asked = this.#ask(level);
    const mayGoOn = this.#isReachableAbove(index);
    const isOpen = await this.#opens(asked, mayGoOn || this.#spare.length > 0);
    if (isOpen === undefined) return undefined;
    if (!isOpen) return this.#passLate(asked);
    if (options.decide === 'prompt') return asked;
    if (!mayGoOn) return asked;
    return this.#judge(asked, index);
  }

  /** Whether its first token came within its budget; undefined: it failed. Where nobody else could answer, there is no budget. */
  async #opens(asked: Asked, hasBudget: boolean): Promise<boolean | undefined> {
    const { level, attempt } = asked;
    const readsWhole = !streams(this.#parts.request);
    try {
      return await within(attempt.opened, hasBudget ? (readsWhole ? level.answerMs : level.firstTokenMs) : undefined);
    } catch (error) {
      if (!this.#asksAgain(asked, error)) return this.#passFailed(asked, error);
      const isOpen = await this.#opens(asked, hasBudget);
      // What it refused may have been something else that this client asked for.
      if (isOpen) this.#parts.withoutLogprobs.add(asked.level.model);
      return isOpen;
    }
  }

  async #judge(asked: Asked, index: number): Promise<Asked | undefined> {
    const { request, options, next } = this.#parts;
    const { level, attempt, tried } = asked;
    let verdict: Verdict;
    try {
      const leftMs = () => Math.max(1, level.answerMs - (options.now() - attempt.startedAtMs));
      const isWhole = await within(attempt.held, leftMs());
      if (!isWhole) return this.#passLate(asked);
      // Longer than is held: it cannot be taken back any more, and half of it cannot be judged.
      if (!attempt.isComplete) return asked;
      // What is asked of the model about its answer is no part of the answer's time, but of its tier's budget.
      const quiet = { ...request, model: level.model, emit: tokensTo(request.emit, level.model) };
      const samples = attempt.samples();
      asked.judgedText = samples[0]?.text ?? '';
      verdict = await judgeAnswer(quiet, samples, level.policy, options, next, leftMs());
    } catch (error) {
      return this.#passFailed(asked, error);
    }
    Object.assign(tried, { scores: verdict.scores, ...(verdict.gain !== undefined && { gain: verdict.gain }) });
    if (verdict.isTrusted || index === options.levels.length - 1) {
      tried.reason = verdict.reason;
      return asked;
    }
    this.#spare.push(asked);
    return this.#pass(tried, 'low_confidence', verdict.reason, asked);
  }

  #ask(level: TierLevel): Asked {
    const { request, options, withoutLogprobs } = this.#parts;
    const isJudged = options.decide === 'answer' && needsLogprobs.some((name) => options.scoresMin[name] !== undefined);
    const wantsLogprobs = isJudged && request.topLogprobs === undefined && !withoutLogprobs.has(level.model);
    for (const other of this.#asked) other.isBeside ||= !other.attempt.isComplete;
    const asked: Asked = { level, attempt: this.#try(level, wantsLogprobs), tried: this.#note(level), wantsLogprobs, isBeside: false };
    this.#asked.push(asked);
    return asked;
  }

  #try(level: TierLevel, wantsLogprobs: boolean): TierTry {
    const { request, next, options } = this.#parts;
    return new TierTry({
      request: { ...request, model: level.model, stream: streams(request), ...(wantsLogprobs && { topLogprobs: 0 }) },
      next,
      heldCharactersMax: options.heldCharactersMax,
      hidesLogprobs: wantsLogprobs,
      now: options.now,
    });
  }

  /** A server that does not tell its tokens' probabilities may say so by refusing: then it is judged without, now and from now on. */
  #asksAgain(asked: Asked, thrown: unknown): boolean {
    const { code } = toAutoglmError(thrown);
    if (!asked.wantsLogprobs || !refusals.has(code) || this.#parts.request.signal.aborted) return false;
    asked.wantsLogprobs = false;
    asked.attempt = this.#try(asked.level, false);
    return true;
  }

  #passLate(asked: Asked): undefined {
    const {
      attempt: { firstTokenAtMs },
      level,
    } = asked;
    this.#spare.push(asked);
    const reason =
      firstTokenAtMs === undefined ? `no first token within ${level.firstTokenMs} ms` : `no whole answer within ${level.answerMs} ms`;
    return this.#pass(asked.tried, 'over_budget', reason, asked);
  }

  /** An error that another tier would give as well is the answer; so is the client's leaving. */
  #passFailed(asked: Asked, thrown: unknown): undefined {
    const error = toAutoglmError(thrown);
    if (this.#parts.request.signal.aborted) throw error;
    const isUnreachable =
      error.code === 'upstream_unreachable' || error.code === 'upstream_connect_timeout' || error.code === 'engine_unavailable';
    this.#pass(asked.tried, isUnreachable ? 'unreachable' : 'failed', error.code, asked);
    if (!isTheTiers(error) && this.#spare.length === 0) throw error;
    this.#failure = error;
    return undefined;
  }

  /** Nobody was good enough, or in time: the highest of those whose answer has begun, or whoever begins first. */
  async #spareAnswer(): Promise<TierTry | undefined> {
    const begun = this.#spare.findLast(({ attempt }) => attempt.firstTokenAtMs !== undefined && !attempt.hasFailed);
    const asked = begun ?? (await Promise.any(this.#spare.map((spare) => spare.attempt.opened.then(() => spare))).catch(() => undefined));
    this.#parts.request.signal.throwIfAborted();
    return asked && this.#settle(asked, this.#whyDegraded(), true);
  }

  /** The question was too hard for them, but they are there. */
  async #lowerAnswer(from: number): Promise<TierTry | undefined> {
    const { levels, isReachable } = this.#parts.options;
    for (let index = from - 1; index >= 0; index -= 1) {
      const level = levels[index] as TierLevel;
      if (!isReachable(level.model) || !this.#suits(level)) continue;
      const asked = this.#ask(level);
      if (await this.#opens(asked, false)) return this.#settle(asked, this.#whyDegraded(), true);
    }
    return undefined;
  }

  #whyDegraded(): string {
    const missing = this.#tried
      .filter(({ outcome }) => outcome === 'unreachable' || outcome === 'failed' || outcome === 'over_budget')
      .map(({ tier, outcome }) => `${tier} ${outcome}`);
    return missing.join(', ');
  }

  #settle(asked: Asked, reason: string, isDegraded: boolean): TierTry {
    const { request, options } = this.#parts;
    const index = options.levels.indexOf(asked.level);
    for (const other of this.#asked) if (other !== asked) other.attempt.leave();
    this.#tellPassed(asked);
    const { tried } = asked;
    const isLow = tried.outcome === 'low_confidence';
    tried.outcome = 'answered';
    this.#spent(asked);
    asked.attempt.tell();
    // Nobody above could be asked: whether somebody should have been was not judged.
    const isAlone =
      !isDegraded &&
      options.decide === 'answer' &&
      index < options.levels.length - 1 &&
      !this.#isReachableAbove(index) &&
      tried.scores === undefined;
    const above = options.levels
      .slice(index + 1)
      .map(({ tier }) => tier)
      .join(', ');
    const why = isAlone
      ? `no tier above it can be reached: ${above}`
      : isLow
        ? `${tried.reason ?? ''}; ${reason}`
        : reason || 'the highest tier that can be asked';
    request.emit({
      type: 'answer-note',
      name: 'cascade',
      value: { tier: tried.tier, model: tried.model, reason: why, ...(tried.scores && { scores: tried.scores }), tried: this.#tried },
    });
    if (isDegraded || isAlone) request.emit({ type: 'answer-note', name: 'degraded', value: true });
    return asked.attempt;
  }

  /**
   * What those that do not answer took: each moment once. While one is asked beside another, the later one's time counts, but that of the
   * answer counts whole.
   */
  #tellPassed(answering: Asked | undefined): void {
    const {
      request: { emit },
      options: { isRemote },
    } = this.#parts;
    const place = answering ? this.#asked.indexOf(answering) : this.#asked.length;
    this.#isTold = true;
    for (const [index, { attempt, isBeside, level }] of this.#asked.entries()) {
      if (index === place) continue;
      attempt.tellAsPassed(isBeside || (index > place && answering?.isBeside === true));
      if (!isBeside || index > place) continue;
      const aloneMs = (this.#asked[index + 1] as Asked).attempt.startedAtMs - attempt.startedAtMs;
      emit({ type: 'segment-end', segment: isRemote(level.model) ? 'upstream' : 'prefill', durationMs: aloneMs, reason: 'late' });
    }
  }

  #refuse(): never {
    throw (
      this.#failure ??
      new AutoglmError(
        'engine_unavailable',
        `No tier of the model ${JSON.stringify(this.#parts.options.model)} can be reached at present.`,
        { retryAfterSeconds: 1 },
      )
    );
  }

  #isReachableAbove(index: number): boolean {
    const { levels, isReachable } = this.#parts.options;
    return levels.slice(index + 1).some((level) => isReachable(level.model) && this.#suits(level));
  }

  /** What runs here reads text only. */
  #suits({ model }: TierLevel): boolean {
    return !this.#showsImages || this.#parts.options.isRemote(model);
  }

  #note({ tier, model }: TierLevel, verdict?: Verdict): Tried {
    const tried: Tried = { tier, model, outcome: 'answered', ...(verdict?.gain !== undefined && { gain: verdict.gain }) };
    this.#tried.push(tried);
    return tried;
  }

  #spent({ attempt, tried }: Asked): void {
    const { now } = this.#parts.options;
    tried.ms = Math.round(now() - attempt.startedAtMs);
    if (attempt.firstTokenAtMs !== undefined) tried.first_token_ms = Math.round(attempt.firstTokenAtMs - attempt.startedAtMs);
    if (attempt.completionTokens > 0) tried.completion_tokens = attempt.completionTokens;
  }

  #pass(tried: Tried, outcome: PassedReason, reason: string, asked?: Asked): undefined {
    Object.assign(tried, { outcome, reason });
    if (asked) this.#spent(asked);
    this.#parts.request.emit({
      type: 'tier-passed',
      tier: tried.tier,
      model: tried.model,
      reason: outcome,
      detail: reason,
      durationMs: tried.ms ?? 0,
    });
    return undefined;
  }
}

const refusals: ReadonlySet<ErrorCode> = new Set(['invalid_value', 'unknown_parameter', 'unsupported_feature']);

/** A whole answer's calls of tools do not add up from a stream's pieces: it is asked for whole. */
function streams({ stream, tools, body }: GatewayRequest): boolean {
  return stream || (tools === undefined && body?.fields['tools'] === undefined && body?.fields['functions'] === undefined);
}

/** Another tier may do better: it is another server, with another context and other abilities. */
function isTheTiers({ code, retryable, status }: AutoglmError): boolean {
  return retryable || status >= 500 || code === 'context_length_exceeded' || code === 'unsupported_feature';
}

/** True when it resolved in time, false when it did not. Rejects as it does. */
async function within(work: Promise<void>, limitMs: number | undefined): Promise<boolean> {
  if (limitMs === undefined) return work.then(() => true);
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => late.resolve(false), limitMs);
  try {
    return await Promise.race([work.then(() => true), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
