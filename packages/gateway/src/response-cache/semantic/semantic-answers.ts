import type { StreamPart } from '@open-autoglm/protocol';
import type { NearAnswer, NearAnswers, Question } from '../near-answers.ts';
import { readAsked, type AskedQuestion } from './asked-question.ts';
import { Learner, type Candidate } from './confidence/learner.ts';
import { Embedder, type Embed } from './embedder.ts';
import { QuestionIndex, type Neighbour } from './index/question-index.ts';
import { readQuestion } from './reading/read.ts';
import { findDifference } from './rules/index.ts';
import { compareWording, wordings } from './rules/wording.ts';
import { compareAnswers } from './same-answer.ts';
import { dot } from '../../common/unit-vector.ts';

export interface SemanticSettings {
  /** `shadow`: everything but serving. */
  readonly mode: 'shadow' | 'on';
  /** Questions below this cosine are not looked at. */
  readonly similarityMin: number;
  /** The share of wrong answers that is tolerated among those that are served. */
  readonly errorMax: number;
  /** At least this share of what would be served is computed all the same, and compared. */
  readonly checkShare: number;
  /** Of two answers that say the same in other words. */
  readonly answerSimilarityMin: number;
  readonly entriesMax: number;
  readonly bytesMax: number;
  /** Longer questions are not compared. */
  readonly charactersMax: number;
  /** For an embedding. */
  readonly timeoutMs: number;
}

export interface SemanticParts extends SemanticSettings {
  readonly embed: Embed;
  /** The kept answer of this tenant; undefined: it is gone. */
  readonly answerOf: (key: string, tenant: string) => Promise<readonly StreamPart[] | undefined>;
  /** 0 … 1. */
  readonly random: () => number;
}

/** Counted since the start. */
export interface SemanticCounts {
  /** Questions of which an embedding was had. */
  asked: number;
  /** Of these, for which every rule agreed to a neighbour. */
  candidates: number;
  served: number;
  /** Neighbours that a rule told apart, by the rule's word. */
  readonly told: Map<string, number>;
  readonly checks: { right: number; wrong: number };
}

/** Neighbours of a question that the rules look at. */
const neighboursMax = 8;
/** Questions that are being answered, and whose answers will be compared; who waits longest is forgotten first. */
const pendingMax = 4096;
/** Embeddings at one time. */
const embeddingsMax = 64;

/** A question between its miss and its answer. */
interface Pending {
  readonly asked: AskedQuestion;
  readonly vector: Float32Array;
  /** Whose answer would have been given. */
  readonly candidate: Candidate | undefined;
}

/**
 * Finds answers of questions that want the same. Three things must agree: the embeddings are near (an index finds the neighbours),
 * every rule finds nothing that tells the two apart (numbers, negations, names, …), and checks have shown that such an answer is right
 * often enough. A check costs nothing: wherever an answer is computed although a neighbour was there, the two are compared.
 */
export class SemanticAnswers implements NearAnswers {
  readonly learner: Learner;
  readonly index: QuestionIndex;
  readonly counts: SemanticCounts = { asked: 0, candidates: 0, served: 0, told: new Map(), checks: { right: 0, wrong: 0 } };
  readonly embedder: Embedder;
  readonly #parts: SemanticParts;
  readonly #pending = new Map<string, Pending>();

  constructor(parts: SemanticParts) {
    this.#parts = parts;
    this.index = new QuestionIndex({ entriesMax: parts.entriesMax, bytesMax: parts.bytesMax });
    this.learner = new Learner({
      errorMax: parts.errorMax,
      checkShare: parts.checkShare,
      entriesMax: parts.entriesMax,
      random: parts.random,
    });
    this.embedder = new Embedder({ embed: parts.embed, timeoutMs: parts.timeoutMs, pendingMax: embeddingsMax });
  }

  async find(question: Question, signal: AbortSignal): Promise<NearAnswer | undefined> {
    const asked = readAsked(question, this.#parts.charactersMax);
    const [vector] = (asked && (await this.embedder.vectors([asked.text], signal))) ?? [];
    if (!asked || !vector) return undefined;
    this.counts.asked += 1;
    const candidate = await this.#candidateFor(asked, vector, question.request.tenant);
    if (candidate) this.counts.candidates += 1;
    this.#await(question.key, { asked, vector, candidate });
    if (!candidate || this.#parts.mode === 'shadow' || this.learner.decide(candidate) !== 'serve') return undefined;
    this.counts.served += 1;
    this.index.touch(candidate.key);
    const { similarity, wording } = candidate;
    return {
      key: candidate.key,
      more: { similarity: round(similarity), wording, expected_error: round(this.learner.belief(candidate).error) },
    };
  }

  onKept(question: Question, entry: { readonly parts: readonly StreamPart[] }): void {
    const pending = this.#pending.get(question.key);
    this.#pending.delete(question.key);
    // What fails here is one check less, or one question that is not found.
    void (pending ? this.#learnFrom(question, pending, entry.parts) : this.#addLate(question)).catch(() => {});
  }

  onAsked(): void {}

  /** For metrics. */
  read() {
    const {
      index,
      embedder: { failed, skipped },
      counts,
      learner: { evidence },
    } = this;
    const thresholds = new Map<string, number>();
    for (const wording of wordings) {
      const threshold = evidence.threshold(wording);
      if (threshold !== undefined) thresholds.set(wording, Math.max(threshold, this.#parts.similarityMin));
    }
    return { ...counts, entries: index.size, bytes: index.bytes, embeddings: { failed, skipped }, thresholds };
  }

  onRevoked(key: string): void {
    this.#pending.delete(key);
    this.#drop(key);
  }

  /** Of the neighbours that every rule agrees to, the one that is expected to be wrong least. */
  async #candidateFor({ scope, text }: AskedQuestion, vector: Float32Array, tenant: string): Promise<Candidate | undefined> {
    const reading = readQuestion(text);
    const candidates = this.index.find(scope, vector, this.#parts.similarityMin, neighboursMax).flatMap((neighbour): Candidate[] => {
      const other = readQuestion(neighbour.text);
      const difference = findDifference(reading, other);
      if (difference !== undefined) this.counts.told.set(difference, (this.counts.told.get(difference) ?? 0) + 1);
      return difference === undefined ? [toCandidate(neighbour, compareWording(reading, other))] : [];
    });
    const believed = candidates.map((candidate) => ({ candidate, error: this.learner.belief(candidate).error }));
    for (const { candidate } of believed.toSorted((a, b) => a.error - b.error || b.candidate.similarity - a.candidate.similarity)) {
      if (await this.#parts.answerOf(candidate.key, tenant)) return candidate;
      this.#drop(candidate.key);
    }
    return undefined;
  }

  #await(key: string, pending: Pending): void {
    this.#pending.delete(key);
    this.#pending.set(key, pending);
    if (this.#pending.size > pendingMax) this.#pending.delete(this.#pending.keys().next().value as string);
  }

  async #learnFrom({ key, request }: Question, { asked, vector, candidate }: Pending, parts: readonly StreamPart[]): Promise<void> {
    this.index.add({ key, ...asked }, vector);
    const kept = candidate && candidate.key !== key ? await this.#parts.answerOf(candidate.key, request.tenant) : undefined;
    if (!candidate || !kept) return;
    const isRight = await this.#isSame(kept, parts);
    if (isRight === undefined) return;
    this.counts.checks[isRight ? 'right' : 'wrong'] += 1;
    this.learner.learn(candidate, isRight);
  }

  /** Undefined: it cannot be told. */
  async #isSame(kept: readonly StreamPart[], computed: readonly StreamPart[]): Promise<boolean | undefined> {
    const comparison = compareAnswers(kept, computed);
    if (typeof comparison === 'string') return comparison === 'same';
    const [a, b] = (await this.embedder.vectors([comparison.a, comparison.b])) ?? [];
    return a && b && dot(a, b) >= this.#parts.answerSimilarityMin;
  }

  /** It was computed without being looked for: a refresh, or an answer that was wanted anew. */
  async #addLate(question: Question): Promise<void> {
    const asked = readAsked(question, this.#parts.charactersMax);
    if (!asked) return;
    const [vector] = (await this.embedder.vectors([asked.text])) ?? [];
    if (vector && (await this.#parts.answerOf(question.key, question.request.tenant)))
      this.index.add({ key: question.key, ...asked }, vector);
  }

  #drop(key: string): void {
    this.index.delete(key);
    this.learner.forget(key);
  }
}

function toCandidate({ key, similarity }: Neighbour, wording: Candidate['wording']): Candidate {
  return { key, similarity, wording };
}

function round(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
