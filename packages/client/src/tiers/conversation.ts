import { status, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import type { TierClientMessage, TierDecision, TierServerMessage } from '@open-autoglm/protocol';
import { diffJson } from '../json-diff.ts';
import { backoffMs } from '../retry.ts';

/** What the server says. `state` counts the calls of `update`: 1, 2, 3 … */
export type TierEvent =
  | {
      readonly type: 'welcome';
      readonly levels: readonly { readonly name: string; readonly model: string }[];
      readonly stateBytesMax: number;
    }
  /** What the text of a decision goes on with. */
  | { readonly type: 'delta'; readonly state: number; readonly level: string; readonly revision: number; readonly text: string }
  /** A decision to act on, in the place of the one that it supersedes; 0: it is the first. */
  | {
      readonly type: 'decision';
      readonly state: number;
      readonly level: string;
      readonly revision: number;
      readonly supersedes: number;
      readonly confirms: boolean;
      readonly text: string;
      readonly answer: unknown;
      readonly tier: string;
      readonly engine: string;
    }
  /** Of a decision that was begun, nothing more will come. */
  | { readonly type: 'retraction'; readonly revision: number; readonly reason: string }
  | {
      readonly type: 'problem';
      readonly state: number;
      readonly level: string;
      readonly code: string;
      readonly message: string;
      readonly param: string | undefined;
      readonly retryable: boolean;
    }
  /** The call has ended, by a gRPC status; where it is to be opened again, that is tried from now on, with the last state. */
  | { readonly type: 'lost'; readonly code: number; readonly message: string };

export interface ConversationOptions {
  /** Of those that the server has; all of them when empty or not given. */
  readonly levels?: readonly string[];
  /** Sent with the call, such as `authorization` and `x-autoglm-tenant`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Where it throws, the conversation is over: it is told `lost`, and nothing after that. */
  readonly on: (event: TierEvent) => void;
  /** Whether a call that was cut is opened again; true when not given. One that the server refuses is not. */
  readonly reconnects?: boolean;
}

type Call = ClientDuplexStream<TierClientMessage, TierServerMessage>;

/** What was sent, by its version on the wire: decisions about older states than these come too late for anybody. */
const rememberedMax = 32;
/**
 * What every server takes, whatever its bound: until it has told that, a larger state waits, for one that is too large would end the call
 * without a word of why.
 */
const unaskedBytesMax = 4096;
const utf8 = new TextDecoder();

/** Statuses of a server or a network that may be there again later (OK: it drains); whatever else it says would be said again. */
const passing: ReadonlySet<number> = new Set([
  status.OK,
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
  status.INTERNAL,
  status.RESOURCE_EXHAUSTED,
  status.UNKNOWN,
]);

/**
 * Streams a state to a server as it changes, whole at first and then as JSON Patches, and tells what the server decides. Where the
 * server takes states more slowly than they come, those between are left out: only the latest is to be decided about.
 */
export class TiersConversation {
  readonly #open: () => Call;
  readonly #options: ConversationOptions;
  #call: Call | undefined;
  #state: { readonly body: object; readonly count: number } | undefined;
  /** What the server has, or is about to have. */
  #sent: { readonly body: object; readonly version: number } | undefined;
  /** The version of the last state that was sent whole; undefined: the server refused it, or there was none. */
  #document: number | undefined;
  #version = 0;
  #isWaiting = false;
  /** Of this call's server, when it has told. */
  #stateBytesMax: number | undefined;
  /** The count of the state that is too large, of which that was told. */
  #tooLarge = 0;
  readonly #counts = new Map<number, number>();
  #attempt = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(open: () => Call, options: ConversationOptions) {
    this.#open = open;
    this.#options = options;
    this.#begin();
  }

  /**
   * The state as of now, a chat body; not to be changed afterwards. Gives its number. Throws after `close`, and after a loss that is not
   * mended.
   */
  update(body: object): number {
    if (this.#isClosed) throw new Error('The conversation is over.');
    const count = (this.#state?.count ?? 0) + 1;
    this.#state = { body, count };
    this.#send();
    return count;
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#call?.cancel();
    this.#call = undefined;
  }

  #begin(): void {
    const call = this.#open();
    this.#call = call;
    this.#sent = undefined;
    this.#document = undefined;
    this.#stateBytesMax = undefined;
    this.#isWaiting = false;
    call.on('data', (message: TierServerMessage) => this.#call === call && this.#receive(message));
    call.on('error', (error: ServiceError) => this.#onEnd(call, error.code, error.details));
    call.on('end', () => this.#onEnd(call, status.OK, 'The server has ended the conversation.'));
    call.write({ hello: { levels: this.#options.levels ?? [] } });
    this.#send();
  }

  #send(): void {
    const call = this.#call;
    if (!call || !this.#state || this.#isWaiting) return;
    const { body, count } = this.#state;
    const version = this.#version + 1;
    const bytesMax = this.#stateBytesMax ?? unaskedBytesMax;
    const isNext = this.#sent?.version === version - 1;
    const patch = isNext ? Buffer.from(JSON.stringify(diffJson(this.#sent?.body, body))) : undefined;
    const content = patch && patch.length <= bytesMax ? { patch } : { document: Buffer.from(JSON.stringify(body)) };
    if (content.document && content.document.length > bytesMax) return this.#keep(count);
    this.#version = version;
    this.#counts.set(version, count);
    this.#counts.delete(version - rememberedMax);
    if (content.document) this.#document = version;
    this.#sent = { body, version };
    this.#isWaiting = !call.write({ state: { version, ...content } });
    if (!this.#isWaiting) return;
    call.once('drain', () => {
      if (this.#call !== call) return;
      this.#isWaiting = false;
      if (this.#state?.count !== count || !this.#sent) this.#send();
    });
  }

  /** A state that is not sent: its server has to say first how much it takes, or has said that it is less. */
  #keep(count: number): void {
    const bytesMax = this.#stateBytesMax;
    if (bytesMax === undefined || this.#tooLarge === count) return;
    this.#tooLarge = count;
    // Who has given the state knows its number only then.
    queueMicrotask(() => {
      const message = `The state is larger than the ${bytesMax} bytes that the server takes.`;
      if (!this.#isClosed)
        this.#tell({ type: 'problem', state: count, level: '', code: 'payload_too_large', message, param: undefined, retryable: false });
    });
  }

  /** One that listens and fails ends its conversation, and nobody else's. */
  #tell(event: TierEvent): void {
    try {
      this.#options.on(event);
    } catch (error) {
      this.close();
      if (event.type !== 'lost') this.#tell({ type: 'lost', code: status.INTERNAL, message: `The listener failed: ${String(error)}` });
    }
  }

  #receive(message: TierServerMessage): void {
    if ('welcome' in message) {
      this.#stateBytesMax = message.welcome.stateBytesMax;
      this.#tell({ type: 'welcome', ...message.welcome });
      if (!this.#sent) this.#send();
    } else if ('decision' in message) this.#decided(message.decision);
    else if ('retraction' in message) this.#tell({ type: 'retraction', ...message.retraction });
    else if ('resend' in message) {
      // It refused the one before, or never had it. Each patch under way is answered so; the document that one of them was answered with is
      // for all.
      if ((message.resend.haveVersion ?? 0) < (this.#document ?? 0)) return;
      this.#sent = undefined;
      this.#send();
    } else if ('problem' in message) {
      const { stateVersion, level = '', code, message: text, param, retryable } = message.problem;
      this.#attempt = 0;
      if (level === '' && stateVersion === this.#document) this.#document = undefined;
      const state = this.#counts.get(stateVersion);
      if (state !== undefined)
        this.#tell({
          type: 'problem',
          state,
          level,
          code,
          message: text,
          param: param === '' ? undefined : param,
          retryable: retryable === true,
        });
    }
  }

  #decided({
    stateVersion,
    level,
    revision,
    final,
    delta = '',
    text = '',
    supersedes = 0,
    confirms = false,
    answer,
    tier = '',
    engine = '',
  }: TierDecision): void {
    this.#attempt = 0;
    const state = this.#counts.get(stateVersion);
    if (state === undefined) return;
    if (!final) return this.#tell({ type: 'delta', state, level, revision, text: delta });
    let whole: unknown;
    try {
      whole = answer && JSON.parse(utf8.decode(answer));
    } catch (error) {
      return this.#tell({
        type: 'problem',
        state,
        level,
        code: 'upstream_error',
        message: `The server's answer is not JSON: ${(error as Error).message}`,
        param: undefined,
        retryable: true,
      });
    }
    this.#tell({ type: 'decision', state, level, revision, supersedes, confirms, text, answer: whole, tier, engine });
  }

  #onEnd(call: Call, code: number, message: string): void {
    if (this.#call !== call || this.#isClosed) return;
    this.#call = undefined;
    const isMended = (this.#options.reconnects ?? true) && passing.has(code);
    this.#isClosed = !isMended;
    if (isMended) {
      this.#timer = setTimeout(() => this.#begin(), backoffMs(this.#attempt, Math.random()));
      this.#attempt += 1;
    }
    this.#tell({ type: 'lost', code, message });
  }
}
