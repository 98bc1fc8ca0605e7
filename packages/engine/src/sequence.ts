import type { GenerateRequest } from '@open-autoglm/protocol';
import { constrainedSampler, type Constraint } from './constraints/constraint.ts';
import { createSampler, type Sampler, type SamplerScratch } from './sampler/sampler.ts';
import { createStopMatcher, type StopMatcher } from './text/stop-matcher.ts';
import { createTokenTextDecoder, type TokenTextDecoder } from './text/text-decoder.ts';

/** One request's state in the engine. Times in milliseconds of the engine's clock. */
export interface Sequence {
  readonly id: string;
  readonly request: GenerateRequest;
  readonly prompt: Int32Array;
  /** Most tokens it may still generate, by its request and the context. */
  readonly maxTokens: number;
  readonly sampler: Sampler;
  /** What the answer is held to; absent: nothing. */
  readonly constraint: Constraint | undefined;
  readonly decoder: TokenTextDecoder;
  readonly stopMatcher: StopMatcher;
  readonly arrivedAt: number;
  startedAt: number;
  firstTokenAt: number;
  /** Tokens whose keys and values are in the cache. */
  computed: number;
  generated: number;
  /** The token that the next decode step reads. */
  lastToken: number;
}

export function createSequence(request: GenerateRequest, prompt: readonly number[], contextLength: number, scratch: SamplerScratch, constraint: Constraint | undefined, now: number): Sequence {
  const room = contextLength - prompt.length;
  const sampler = createSampler(request.sampling, prompt, scratch);
  return {
    id: request.id,
    request,
    prompt: Int32Array.from(prompt),
    maxTokens: Math.min(request.maxTokens ?? room, room),
    sampler: constraint ? constrainedSampler(sampler, constraint, scratch.masked) : sampler,
    constraint,
    decoder: createTokenTextDecoder(),
    stopMatcher: createStopMatcher(request.stop),
    arrivedAt: now,
    startedAt: 0,
    firstTokenAt: 0,
    computed: 0,
    generated: 0,
    lastToken: -1,
  };
}
