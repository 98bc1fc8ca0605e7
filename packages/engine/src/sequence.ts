import type { GenerateRequest } from '@open-autoglm/protocol';
import type { ContextBounds } from './context/bounds.ts';
import { KeptContext } from './context/kept-context.ts';
import { constrainedSampler, type Constraint } from './constraints/constraint.ts';
import { createSampler, type Sampler, type SamplerScratch } from './sampler/sampler.ts';
import { Drafter } from './speculation/drafter.ts';
import type { SequenceDelays } from './stats/delay-account.ts';
import { createStopMatcher, type StopMatcher } from './text/stop-matcher.ts';
import { createTokenTextDecoder, type TokenTextDecoder } from './text/text-decoder.ts';
import { TokenList } from './token-list.ts';

/** One request's state in the engine. Times in milliseconds of the engine's clock. */
export interface Sequence {
  readonly id: string;
  /** Grows in the order of arrival. */
  readonly order: number;
  readonly request: GenerateRequest;
  readonly prompt: Int32Array;
  /** The prompt, and what was generated after it. The last one's keys and values are computed by the step that chooses the next. */
  readonly tokens: TokenList;
  /** Most tokens it may still generate, by its request and the context. */
  readonly maxTokens: number;
  readonly sampler: Sampler;
  readonly drafter: Drafter;
  /** Which of its tokens have a row in the cache. */
  readonly context: KeptContext;
  /** What the answer is held to; absent: nothing. */
  readonly constraint: Constraint | undefined;
  readonly decoder: TokenTextDecoder;
  readonly stopMatcher: StopMatcher;
  readonly arrivedAt: number;
  /** When it came to whoever queued it first. */
  readonly waitsSince: number;
  /** When it first got a place. */
  startedAt: number | undefined;
  firstTokenAt: number;
  /** When it got the place that it has; undefined while it waits. */
  placedAt: number | undefined;
  /** How long it had a place before that one. */
  ranMs: number;
  /** When it lost its place; undefined while it has one, or never had. */
  suspendedAt: number | undefined;
  /** How often it lost its place, and how long it waited for another, in milliseconds: before its first token, and after. */
  readonly suspensions: { count: number; msBefore: number; msAfter: number };
  readonly delays: SequenceDelays;
  /** Prompt tokens whose keys and values others had computed. */
  cachedTokens: number;
  /** Tokens whose keys and values are in the cache. Falls back to 0 when it loses its place. */
  computed: number;
  generated: number;
}

export interface SequenceParts {
  readonly request: GenerateRequest;
  readonly prompt: readonly number[];
  /** Of the model. */
  readonly contextLength: number;
  /** Absent: nothing gives way. */
  readonly bounds: ContextBounds | undefined;
  readonly constraint: Constraint | undefined;
  readonly scratch: SamplerScratch;
  readonly delays: SequenceDelays;
  readonly now: number;
  readonly order: number;
}

export function createSequence({
  request,
  prompt,
  contextLength,
  bounds,
  constraint,
  scratch,
  delays,
  now,
  order,
}: SequenceParts): Sequence {
  const room = bounds ? Infinity : contextLength - prompt.length;
  const sampler = createSampler(request.sampling, prompt, scratch);
  return {
    id: request.id,
    order,
    request,
    prompt: Int32Array.from(prompt),
    tokens: new TokenList(prompt),
    maxTokens: Math.min(request.maxTokens ?? contextLength, room),
    context: new KeptContext(bounds, prompt.length),
    sampler: constraint ? constrainedSampler(sampler, constraint, scratch.masked) : sampler,
    constraint,
    drafter: new Drafter(),
    decoder: createTokenTextDecoder(),
    stopMatcher: createStopMatcher(request.stop),
    arrivedAt: now,
    waitsSince: Math.min(now, request.standing?.waitsSinceMs ?? now),
    startedAt: undefined,
    firstTokenAt: 0,
    placedAt: undefined,
    ranMs: 0,
    suspendedAt: undefined,
    suspensions: { count: 0, msBefore: 0, msAfter: 0 },
    delays,
    cachedTokens: 0,
    computed: 0,
    generated: 0,
  };
}

/** It has a place; the keys and values of so many of its tokens are there. */
export function takePlace(sequence: Sequence, computed: number, nowMs: number): void {
  const { suspensions, generated, suspendedAt } = sequence;
  sequence.computed = computed;
  sequence.placedAt = nowMs;
  if (suspendedAt !== undefined) suspensions[generated > 0 ? 'msAfter' : 'msBefore'] += nowMs - suspendedAt;
  sequence.suspendedAt = undefined;
  if (sequence.startedAt !== undefined) return;
  sequence.startedAt = nowMs;
  sequence.cachedTokens = computed;
}

/** It waits again. */
export function leavePlace(sequence: Sequence, nowMs: number): void {
  sequence.computed = 0;
  sequence.context.restart();
  sequence.ranMs += nowMs - (sequence.placedAt ?? nowMs);
  sequence.placedAt = undefined;
  sequence.suspendedAt = nowMs;
  sequence.suspensions.count += 1;
}
