import { openTiers, type TierEvent, type Tiers, type TiersConversation } from '@open-autoglm/client/tiers';
import { AutoglmError, errorTable, type EmitEvent, type ErrorCode, type GatewayRequest } from '@open-autoglm/protocol';
import type { Decide, Decided, Level } from './conversation.ts';
import { LevelDoor, type OnRefusal } from './level-door.ts';
import { readAuthorities, readOwnCertificate, readPrivateKey, type OnInvalid } from './pem-files.ts';

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

/** Rejects with `ConfigError` when a certificate cannot be used. */
export async function openUpstreamLevel(
  name: string,
  { target, level = name, tls }: UpstreamSettings,
  apiKey: string | undefined,
  keepaliveMs: number,
  onRefusal: OnRefusal,
  onInvalid: OnInvalid,
): Promise<UpstreamLevel> {
  const at = (key: string) => `grpc.levels: the upstream.tls.${key} of ${name}`;
  return new UpstreamLevel(
    name,
    level,
    openTiers({ target, tls: tls && (await readTls(tls, at, onInvalid)), keepaliveMs }),
    apiKey,
    new LevelDoor(name, onRefusal),
  );
}

async function readTls({ ca, cert, key }: NonNullable<UpstreamSettings['tls']>, at: (key: string) => string, onInvalid: OnInvalid) {
  const authority = await readAuthorities(at('ca'), ca, onInvalid);
  if (cert === undefined || key === undefined) return { ca: authority };
  const own = await readOwnCertificate(at('cert'), cert, onInvalid);
  return { ca: authority, cert: own, key: await readPrivateKey(at('key'), key, own) };
}

/** One connection for all conversations. */
export class UpstreamLevel {
  readonly name: string;
  readonly #level: string;
  readonly #tiers: Tiers;
  readonly #apiKey: string | undefined;
  readonly #door: LevelDoor;

  constructor(name: string, level: string, tiers: Tiers, apiKey: string | undefined, door: LevelDoor) {
    this.name = name;
    this.#level = level;
    this.#tiers = tiers;
    this.#apiKey = apiKey;
    this.#door = door;
  }

  /** For one client's conversation. The key is ours; on whose behalf it is, each state says. */
  begin({ authorization: _authorization, 'x-autoglm-tenant': _tenant, ...headers }: Readonly<Record<string, string>>): UpstreamDecisions {
    const sent = { ...headers, ...(this.#apiKey !== undefined && { authorization: `Bearer ${this.#apiKey}` }) };
    return new UpstreamDecisions(this.name, this.#door, (on) =>
      this.#tiers.converse({ levels: [this.#level], headers: sent, reconnects: false, on }),
    );
  }

  close(): void {
    this.#tiers.close();
  }
}

type OnText = Parameters<Decide>[2];
type Body = Readonly<Record<string, unknown>>;
type Conversing = Pick<TiersConversation, 'update' | 'close'>;
type Converse = (on: (event: TierEvent) => void) => Conversing;

interface Waiting {
  readonly state: number;
  readonly onText: OnText;
  readonly resolve: (decided: Decided) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The states of one conversation, passed on as they change. While the other gateway cannot be reached each state fails at this level,
 * which its client is told; the next one tries again, unless it was refused a moment ago.
 */
export class UpstreamDecisions {
  readonly #name: string;
  readonly #door: LevelDoor;
  readonly #converse: Converse;
  #conversation: Conversing | undefined;
  #waiting: Waiting | undefined;

  constructor(name: string, door: LevelDoor, converse: Converse) {
    this.#name = name;
    this.#door = door;
    this.#converse = converse;
  }

  /** A request that was let in here, and its body. Rejects with typed errors, or with the reason of the request's signal. */
  async decide(request: Pick<GatewayRequest, 'tenant' | 'signal' | 'emit'>, body: Body, onText: OnText): Promise<Decided> {
    const { tenant, signal, emit } = request;
    signal.throwIfAborted();
    this.#conversation ??= this.#open();
    emit({ type: 'engine-chosen', engine: this.#name, tier: this.#name, reason: 'it decides at this level' });
    const { promise, resolve, reject } = Promise.withResolvers<Decided>();
    const sentAtMs = performance.now();
    const waiting: Waiting = {
      state: this.#conversation.update(onBehalfOf(tenant, body)),
      onText: observed(onText, emit),
      resolve,
      reject,
    };
    this.#waiting = waiting;
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    let isAnswered = false;
    try {
      const decided = await promise;
      isAnswered = true;
      tellUsage(decided.answer, emit);
      return decided;
    } finally {
      emit({
        type: 'segment-end',
        segment: 'upstream',
        durationMs: performance.now() - sentAtMs,
        reason: isAnswered ? 'answer' : signal.aborted ? 'left' : 'failed',
      });
      signal.removeEventListener('abort', onAbort);
      if (this.#waiting === waiting) this.#waiting = undefined;
    }
  }

  close(): void {
    this.#conversation?.close();
    this.#conversation = undefined;
  }

  #open(): Conversing {
    this.#door.enter();
    return this.#converse((event) => this.#on(event));
  }

  #on(event: TierEvent): void {
    const waiting = this.#waiting;
    if (event.type === 'lost') {
      this.#conversation = undefined;
      const error = this.#door.lost(event.code, event.message);
      waiting?.reject(error);
      return;
    }
    if (event.type === 'welcome') this.#door.entered();
    else if (waiting && 'state' in event && event.state === waiting.state) this.#tell(waiting, event);
  }

  #tell({ onText, resolve, reject }: Waiting, event: Extract<TierEvent, { readonly state: number }>): void {
    if (event.type === 'problem') reject(new AutoglmError(toCode(event.code), event.message, { param: event.param }));
    else if (event.type === 'delta') {
      // Who reads slowly is not waited for: a decision is bounded. One that is not wanted any more says so by throwing.
      void Promise.resolve()
        .then(() => onText(event.text))
        .catch(() => {});
    } else if (typeof event.answer !== 'object' || event.answer === null)
      reject(new AutoglmError('upstream_error', `The level ${this.#name} has decided without an answer.`));
    else resolve({ text: event.text, answer: event.answer, tier: event.tier, engine: event.engine });
  }
}

/**
 * All that is passed on has the same key, ours: the tenant that this gateway has hashed of the caller's key and name stands in the
 * place of the name, so that callers who are apart here are apart there. In the body, because each state may name another.
 */
function onBehalfOf(tenant: string, { autoglm, ...body }: Body): Body {
  const { tenant: _named, ...others } = (autoglm ?? {}) as Body;
  const extensions = { ...others, ...(tenant !== '' && { tenant }) };
  return Object.keys(extensions).length > 0 ? { ...body, autoglm: extensions } : body;
}

function observed(onText: OnText, emit: EmitEvent): OnText {
  let isFirst = true;
  return (delta) => {
    if (isFirst) emit({ type: 'first-token' });
    isFirst = false;
    return onText(delta);
  };
}

/** As the answer says it, where it does. */
function tellUsage(answer: object, emit: EmitEvent): void {
  const { usage } = answer as { readonly usage?: { readonly prompt_tokens?: unknown; readonly completion_tokens?: unknown } | null };
  const promptTokens = usage?.prompt_tokens;
  const completionTokens = usage?.completion_tokens;
  if (!isCount(promptTokens) || !isCount(completionTokens)) return;
  emit({ type: 'prompt-end', choice: 0, promptTokens, cachedTokens: 0 });
  emit({ type: 'choice-end', choice: 0, finishReason: 'stop', completionTokens });
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A newer gateway may have codes that are not known here. */
function toCode(code: string): ErrorCode {
  return Object.hasOwn(errorTable, code) ? (code as ErrorCode) : 'upstream_error';
}
