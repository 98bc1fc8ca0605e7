import type { CacheResult, EmitEvent } from '@open-autoglm/protocol';

/** What a client is told of its answer's way through the cache, as `cache` in the answer's `autoglm`. */
export interface Lookup {
  readonly result: Exclude<CacheResult, 'off'>;
  /** Under which it can be had or revoked: of an answer that is computed now, the key that it will be kept by. */
  readonly key: string;
  /** Where the answer was; absent where it is computed. */
  readonly level?: 'memory' | 'redis';
  readonly ageMs?: number;
  /** For people and logs. */
  readonly reason?: string;
  /** What else is known of a similar question's answer. */
  readonly more?: Readonly<Record<string, unknown>>;
}

export function tellLookup(emit: EmitEvent, { result, key, level, ageMs, reason, more }: Lookup): void {
  emit(reason === undefined ? { type: 'cache-lookup', result } : { type: 'cache-lookup', result, reason });
  emit({
    type: 'answer-note',
    name: 'cache',
    value: level === undefined ? { result, key } : { result, key, age_ms: Math.round(ageMs ?? 0), level, ...more },
  });
}
