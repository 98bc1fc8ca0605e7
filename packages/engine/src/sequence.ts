import type { GenerateRequest } from '@open-autoglm/protocol';
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

export function createSequence(request: GenerateRequest, prompt: readonly number[], contextLength: number, scratch: SamplerScratch, now: number): Sequence {
  const room = contextLength - prompt.length;
  return {
    id: request.id,
    request,
    prompt: Int32Array.from(prompt),
    maxTokens: Math.min(request.maxTokens ?? room, room),
    sampler: createSampler(request.sampling, prompt, scratch),
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
