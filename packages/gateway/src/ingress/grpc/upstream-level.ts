import { readFile } from 'node:fs/promises';
import { openTiers, type TierEvent, type Tiers, type TiersConversation } from '@open-autoglm/client/tiers';
import { AutoglmError, errorTable, type ErrorCode } from '@open-autoglm/protocol';
import { ConfigError } from '../../common/config-error.ts';
import type { Decide, Decided, Level } from './conversation.ts';

/** Another gateway that decides at a level of this one. */
export interface UpstreamSettings {
  /** `host:port`. */
  readonly target: string;
  /** Its own name for the level; the one here when not given. */
  readonly level?: string | undefined;
  /** PEM files. */
  readonly tls?: { readonly ca: string; readonly cert?: string | undefined; readonly key?: string | undefined } | undefined;
}

/** A level, and the way to who decides at it, where that is another gateway. */
export interface ServedLevel extends Omit<Level, 'decide'> {
  readonly upstream?: UpstreamLevel | undefined;
}

/** Rejects with `ConfigError` when a certificate cannot be read. */
export async function openUpstreamLevel(name: string, { target, level = name, tls }: UpstreamSettings, apiKey: string | undefined, keepaliveMs: number): Promise<UpstreamLevel> {
  const read = async (key: string, file: string | undefined) =>
    file === undefined ? undefined : readFile(file).catch((error: Error) => {
      throw new ConfigError(`grpc.levels: the upstream.tls.${key} of ${name}: ${error.message}.`);
    });
  const certificates = tls && { ca: (await read('ca', tls.ca)) as Buffer, cert: await read('cert', tls.cert), key: await read('key', tls.key) };
  return new UpstreamLevel(name, level, openTiers({ target, tls: certificates, keepaliveMs }), apiKey);
}

/** One connection for all conversations. */
export class UpstreamLevel {
  readonly name: string;
  readonly #level: string;
  readonly #tiers: Tiers;
  readonly #apiKey: string | undefined;

  constructor(name: string, level: string, tiers: Tiers, apiKey: string | undefined) {
    this.name = name;
    this.#level = level;
    this.#tiers = tiers;
    this.#apiKey = apiKey;
  }

  /** For one client's conversation, on behalf of whom these headers name; the key is ours. */
  begin({ authorization: _authorization, ...headers }: Readonly<Record<string, string>>): UpstreamDecisions {
    const sent = { ...headers, ...(this.#apiKey !== undefined && { authorization: `Bearer ${this.#apiKey}` }) };
    return new UpstreamDecisions(this.name, (on) => this.#tiers.converse({ levels: [this.#level], headers: sent, reconnects: false, on }));
  }

  close(): void {
    this.#tiers.close();
  }
}

interface Waiting {
  readonly state: number;
  readonly onText: Parameters<Decide>[2];
  readonly resolve: (decided: Decided) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The states of one conversation, passed on as they change. While the other gateway cannot be reached each state fails at this level, which its client is
 * told; the next one tries again.
 */
export class UpstreamDecisions {
  readonly #name: string;
  readonly #converse: (on: (event: TierEvent) => void) => TiersConversation;
  #conversation: TiersConversation | undefined;
  #waiting: Waiting | undefined;

  constructor(name: string, converse: (on: (event: TierEvent) => void) => TiersConversation) {
    this.#name = name;
    this.#converse = converse;
  }

  readonly decide: Decide = async (body, signal, onText) => {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Decided>();
    this.#conversation ??= this.#converse((event) => this.#on(event));
    const waiting: Waiting = { state: this.#conversation.update(body), onText, resolve, reject };
    this.#waiting = waiting;
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
      if (this.#waiting === waiting) this.#waiting = undefined;
    }
  };

  close(): void {
    this.#conversation?.close();
    this.#conversation = undefined;
  }

  #on(event: TierEvent): void {
    const waiting = this.#waiting;
    if (event.type === 'lost') {
      this.#conversation = undefined;
      waiting?.reject(new AutoglmError('upstream_unreachable', `The level ${this.#name} cannot be reached: ${event.message}`));
    } else if (waiting && 'state' in event && event.state === waiting.state) this.#tell(waiting, event);
  }

  #tell({ onText, resolve, reject }: Waiting, event: Extract<TierEvent, { readonly state: number }>): void {
    if (event.type === 'problem') reject(new AutoglmError(toCode(event.code), event.message, { param: event.param }));
    else if (event.type === 'decision') resolve({ text: event.text, answer: event.answer as object, tier: event.tier, engine: event.engine });
    // Who reads slowly is not waited for: a decision is bounded. One that is not wanted any more says so by throwing.
    else void Promise.resolve().then(() => onText(event.text)).catch(() => {});
  }
}

/** A newer gateway may have codes that are not known here. */
function toCode(code: string): ErrorCode {
  return Object.hasOwn(errorTable, code) ? (code as ErrorCode) : 'upstream_error';
}
