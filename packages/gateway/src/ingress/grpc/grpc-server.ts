import type { IncomingHttpHeaders } from 'node:http';
import { constants as http2, type ServerHttp2Stream } from 'node:http2';
import { Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js';
import { loadService } from '@open-autoglm/client/tiers';
import { AutoglmError, toAutoglmError, type StreamPart, type TierClientMessage, type TierServerMessage } from '@open-autoglm/protocol';
import type { Asked, Asker, Relay } from '../../common/asker.ts';
import { ConfigError } from '../../common/config-error.ts';
import { Conversation, type Decide, type Level } from './conversation.ts';
import { readAuthorities, readOwnCertificate, readPrivateKey, type OnInvalid } from './pem-files.ts';
import type { ServedLevel, UpstreamDecisions } from './upstream-level.ts';

export interface GrpcOptions {
  readonly host: string;
  readonly port: number;
  /** PEM files. With `client_ca` clients have to show a certificate, too. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly client_ca?: string | undefined } | undefined;
  readonly levels: readonly ServedLevel[];
  readonly conversationsMax: number;
  readonly stateBytesMax: number;
  readonly idleTimeoutMs: number;
  readonly keepaliveMs: number;
  readonly asker: Asker & Relay;
  /** Throws where nobody is let in with these credentials. */
  readonly identify: (headers: IncomingHttpHeaders) => void;
  /** Told of a certificate that nobody will take now. */
  readonly onInvalidCertificate: OnInvalid;
  /** Makes of an answer's parts what POST /v1/chat/completions answers. */
  readonly collect: (asked: Asked, parts: AsyncIterable<StreamPart>) => Promise<object>;
}

export interface GrpcServer {
  readonly port: number;
  /** Takes no more conversations; those that are there may end within this time, and are ended then. */
  drain(timeoutMs: number): Promise<void>;
}

/** For connections without a conversation to be closed. */
const graceMs = 1000;

type Call = ServerDuplexStream<TierClientMessage, TierServerMessage>;

/**
 * One conversation for each call of `Converse`. Rejects with `ConfigError` when a certificate cannot be used, and when it cannot listen.
 */
export async function startGrpcServer(options: GrpcOptions): Promise<GrpcServer> {
  const open = new Set<OpenConversation>();
  let isDraining = false;
  const server = new Server({
    // What a state may have, and what surrounds it.
    'grpc.max_receive_message_length': options.stateBytesMax + 4096,
    'grpc.keepalive_time_ms': options.keepaliveMs,
    'grpc.keepalive_timeout_ms': options.keepaliveMs,
  });
  server.addService(loadService(), {
    Converse: (call: Call) => {
      if (isDraining) return refuse(call, status.UNAVAILABLE, 'The server is shutting down.');
      try {
        options.identify(headersOf(call));
      } catch (error) {
        return refuse(call, status.UNAUTHENTICATED, toAutoglmError(error).message);
      }
      if (open.size >= options.conversationsMax)
        return refuse(call, status.RESOURCE_EXHAUSTED, `The server has ${open.size} conversations already.`);
      const conversation = new OpenConversation(call, options, () => open.delete(conversation));
      open.add(conversation);
    },
  });
  const credentials = await credentialsOf(options.tls, options.onInvalidCertificate);
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${options.port}`, credentials, (error, bound) =>
      error ? reject(cannotListen(`${host}:${options.port}`, error)) : resolve(bound),
    );
  });
  return {
    port,
    async drain(timeoutMs) {
      isDraining = true;
      const timer = setTimeout(() => {
        for (const conversation of open) conversation.end(new AutoglmError('draining', 'The server is shutting down.'));
      }, timeoutMs);
      await Promise.all([...open].map((conversation) => conversation.finish()));
      clearTimeout(timer);
      for (const { upstream } of options.levels) upstream?.close();
      // A peer that is silent keeps its connection open.
      const cut = setTimeout(() => server.forceShutdown(), graceMs);
      await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      clearTimeout(cut);
    },
  };
}

/** The library tells of all addresses that a name has, and of each what the system said. */
function cannotListen(address: string, { message }: Error): ConfigError {
  return new ConfigError(`grpc.port: nobody can be listened to on ${address}: ${/errors: \[(.*)\]$/s.exec(message)?.[1] ?? message}.`);
}

async function credentialsOf(tls: GrpcOptions['tls'], onInvalid: OnInvalid): Promise<ServerCredentials> {
  if (!tls) return ServerCredentials.createInsecure();
  const cert = await readOwnCertificate('grpc.tls.cert', tls.cert, onInvalid);
  const key = await readPrivateKey('grpc.tls.key', tls.key, cert);
  const authority = tls.client_ca === undefined ? null : await readAuthorities('grpc.tls.client_ca', tls.client_ca, onInvalid);
  return ServerCredentials.createSsl(authority, [{ cert_chain: cert, private_key: key }], authority !== null);
}

function refuse(call: Call, code: status, details: string): void {
  call.on('error', () => {});
  call.emit('error', { code, details });
}

/** A conversation and the call that carries it. */
class OpenConversation {
  readonly #call: Call;
  readonly #conversation: Conversation;
  readonly #onClose: () => void;
  readonly #idleTimer: NodeJS.Timeout;
  readonly #closed = Promise.withResolvers<void>();
  #isClosed = false;
  #isGone = false;
  readonly #upstreams: UpstreamDecisions[] = [];
  #drained: Promise<void> | undefined;

  constructor(call: Call, { levels, stateBytesMax, idleTimeoutMs, asker, collect }: GrpcOptions, onClose: () => void) {
    this.#call = call;
    this.#onClose = onClose;
    const headers = headersOf(call);
    this.#conversation = new Conversation({
      levels: levels.map((level) => this.#served(level, asker, headers)),
      stateBytesMax,
      decide: decideBy(asker, collect, headers),
      send: (message) => this.#send(message),
    });
    this.#idleTimer = setTimeout(() => this.#onSilence(idleTimeoutMs), idleTimeoutMs).unref();
    call.on('data', (message: TierClientMessage) => {
      this.#idleTimer.refresh();
      this.#receive(message);
      // Who does not read what it is told is not heard either.
      if (call.writableNeedDrain && !call.isPaused()) {
        call.pause();
        call.once('drain', () => call.resume());
      }
    });
    // The client has said everything: it is told what is being decided, and no more.
    call.on('end', () => void this.finish());
    call.on('cancelled', () => this.#close(new AutoglmError('client_closed_request', 'The client left.')));
    call.on('close', () => this.#leave());
    call.on('error', () => this.#close(new AutoglmError('client_closed_request', 'The connection failed.')));
  }

  /** Ends the call when everything under way is decided. */
  async finish(): Promise<void> {
    void this.#conversation
      .idle()
      .then(() => this.#close(new AutoglmError('client_closed_request', 'The conversation is over.')) && this.#call.end());
    await this.#closed.promise;
  }

  /** Ends the call at once, for this reason. */
  end(reason: AutoglmError): void {
    if (this.#close(reason)) this.#call.emit('error', { code: statusOf(reason), details: reason.message });
  }

  #receive(message: TierClientMessage): void {
    if (this.#isClosed) return;
    try {
      this.#conversation.receive(message);
    } catch (error) {
      this.end(toAutoglmError(error));
    }
  }

  /** Waits where the client reads slowly; of what is said once a state there is little. */
  #send(message: TierServerMessage): Promise<void> | void {
    if (this.#isClosed || this.#call.write(message)) return undefined;
    return (this.#drained ??= this.#drain());
  }

  /** One for all who wait. */
  async #drain(): Promise<void> {
    await Promise.race([new Promise<void>((resolve) => this.#call.once('drain', () => resolve())), this.#closed.promise]);
    this.#drained = undefined;
  }

  #served({ upstream, ...level }: ServedLevel, asker: Relay, headers: Record<string, string>): Level {
    if (!upstream) return level;
    const decisions = upstream.begin(headers);
    this.#upstreams.push(decisions);
    return {
      ...level,
      decide: (body, signal, onText) => asker.relay({ body, headers, signal }, (request) => decisions.decide(request, body, onText)),
    };
  }

  #onSilence(idleTimeoutMs: number): void {
    if (!this.#isClosed) this.end(new AutoglmError('deadline_exceeded', `The client said nothing for ${idleTimeoutMs} ms.`));
    // Who does not read its last messages has been given the same time for them.
    else reset(this.#call);
  }

  /** Whether it was open until now. What is written may still be on its way to the client: the call holds its place until it is not. */
  #close(reason: AutoglmError): boolean {
    if (this.#isClosed) return false;
    this.#isClosed = true;
    this.#idleTimer.refresh();
    this.#conversation.close(reason);
    for (const decisions of this.#upstreams) decisions.close();
    this.#closed.resolve();
    return true;
  }

  #leave(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#close(new AutoglmError('client_closed_request', 'The connection failed.'));
    clearTimeout(this.#idleTimer);
    this.#onClose();
  }
}

/** Drops what waits to be sent. The library's own ways to end a call send that first, to a client that may never read it. */
function reset(call: Call): void {
  const { call: carried } = call as unknown as { readonly call?: { readonly stream?: ServerHttp2Stream } };
  carried?.stream?.close(http2.NGHTTP2_CANCEL);
}

function statusOf({ code, status: http }: AutoglmError): status {
  if (code === 'deadline_exceeded') return status.DEADLINE_EXCEEDED;
  if (code === 'draining') return status.UNAVAILABLE;
  return http < 500 ? status.INVALID_ARGUMENT : status.INTERNAL;
}

/** Metadata under the names of the HTTP headers that say who asks. */
function headersOf({ metadata }: Call): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of ['authorization', 'x-autoglm-tenant', 'traceparent', 'tracestate']) {
    const [value] = metadata.get(name);
    if (typeof value === 'string') headers[name] = value;
  }
  return headers;
}

/** Decides by sending the state down the request path. */
function decideBy(asker: Asker, collect: GrpcOptions['collect'], headers: Record<string, string>): Decide {
  return (body, signal, onText) =>
    asker.run({ api: 'chat', body, headers, signal }, async (asked) => {
      const read = { text: '' };
      const answer = await collect(asked, told(asked.parts, read, onText));
      const { tier, engine } = asked.timings;
      return { text: read.text, answer, tier, engine };
    });
}

async function* told(parts: AsyncIterable<StreamPart>, read: { text: string }, onText: Parameters<Decide>[2]): AsyncGenerator<StreamPart> {
  for await (const part of parts) {
    if (part.type === 'text-delta' && part.text !== '') {
      read.text += part.text;
      await onText(part.text);
    }
    yield part;
  }
}
