import { AutoglmError } from '@open-autoglm/protocol';
import { Redis } from 'ioredis';
import { answeredWithin } from '../../common/answered-within.ts';
import { redisOptions } from '../../common/redis-options.ts';
import { watchRedis, type OnRedis } from '../../common/watch-redis.ts';
import { sessionScripts, slotKey } from './redis-scripts.ts';
import { tooManySessions } from './session-errors.ts';
import {
  overheadBytes,
  type SessionLimits,
  type SessionRecord,
  type SessionRemoved,
  type SessionReplaced,
  type SessionSources,
  type SessionStore,
} from './session-store.ts';

export interface RedisSessionOptions {
  readonly url: string;
  /** A command that takes longer has failed. */
  readonly timeoutMs: number;
  readonly onRedis?: OnRedis;
}

type Scripted = {
  readonly [Name in keyof typeof sessionScripts]: (slot: string, ...args: readonly (string | number)[]) => Promise<unknown>;
};

/**
 * Sessions that all gateways with the same Redis share. While Redis does not answer there are none: a context that may have changed is not
 * used.
 */
export class RedisSessionStore implements SessionStore {
  readonly #redis: Redis & Scripted;
  readonly #timeoutMs: number;
  readonly #limits: SessionLimits;
  readonly #sources: SessionSources;

  constructor({ url, timeoutMs, onRedis }: RedisSessionOptions, limits: SessionLimits, sources: SessionSources) {
    this.#timeoutMs = timeoutMs;
    this.#limits = limits;
    this.#sources = sources;
    this.#redis = new Redis(url, {
      // Who asks now is told now; by the time a queue had emptied, the client would have asked again.
      ...redisOptions(timeoutMs),
      scripts: Object.fromEntries(Object.entries(sessionScripts).map(([name, lua]) => [name, { lua, numberOfKeys: 1 }])),
    }) as Redis & Scripted;
    watchRedis(this.#redis, onRedis);
  }

  async create(tenant: string, id: string, body: string): Promise<SessionRecord> {
    const { perTenantMax, sessionsMax, bytesMax } = this.#limits;
    const [createdAtMs, revision] = [this.#sources.now(), this.#sources.newRevision()];
    const created = await this.#ask(
      'sessionCreate',
      tenant,
      id,
      createdAtMs,
      perTenantMax,
      sessionsMax,
      bytesMax,
      revision,
      body,
      sizeOf(body),
    );
    if (created === 0) throw tooManySessions(this.#limits);
    return { body, revision, createdAtMs };
  }

  async read(tenant: string, id: string): Promise<SessionRecord | undefined> {
    const found = (await this.#ask('sessionRead', tenant, id, this.#sources.now())) as readonly [string, string, string] | null;
    return found ? { body: found[0], revision: found[1], createdAtMs: Number(found[2]) } : undefined;
  }

  async replace(tenant: string, id: string, expected: string, body: string): Promise<SessionReplaced> {
    const { sessionsMax, bytesMax } = this.#limits;
    const revision = this.#sources.newRevision();
    const kind = (await this.#ask(
      'sessionReplace',
      tenant,
      id,
      this.#sources.now(),
      sessionsMax,
      bytesMax,
      expected,
      revision,
      body,
      sizeOf(body),
    )) as SessionReplaced['kind'];
    return kind === 'replaced' ? { kind, revision } : { kind };
  }

  async remove(tenant: string, id: string, revision: string | undefined): Promise<SessionRemoved> {
    // No session's revision is empty, and so `If-Match: ""` must not stand for any.
    return (await this.#ask(
      'sessionRemove',
      tenant,
      id,
      this.#sources.now(),
      revision === '' ? 'none' : (revision ?? ''),
    )) as SessionRemoved;
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }

  async #ask(script: keyof Scripted, tenant: string, id: string, now: number, ...own: readonly (string | number)[]): Promise<unknown> {
    try {
      return await answeredWithin(this.#redis[script](slotKey, tenant, id, now, this.#limits.ttlMs, ...own), this.#timeoutMs);
    } catch (cause) {
      throw new AutoglmError(
        'session_store_unavailable',
        'Sessions cannot be read at this moment: their store does not answer. Try again, or send the whole conversation to /v1/chat/completions.',
        { retryAfterSeconds: 1, cause },
      );
    }
  }
}

function sizeOf(body: string): number {
  return Buffer.byteLength(body) + overheadBytes;
}
