import { Agent, createServer, request, type ClientRequest, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import { messageOf } from '../failure.ts';
import { passedOn } from './hop-by-hop.ts';

/** Sees a request and its answer go by. */
export interface Witness {
  requestPiece(piece: Buffer): void;
  requestEnds(): void;
  answerBegins(status: number, contentType: string): void;
  answerPiece(piece: Buffer): void;
  /** Once, whatever happened. `isComplete`: the answer came to its end and the client took it. */
  ends(isComplete: boolean): void;
}

export interface Proxy {
  readonly server: Server;
  /** Lets running answers end until the signal is aborted, then cuts them. */
  close(hurry: AbortSignal): Promise<void>;
}

/** Connections that nobody uses are kept for less than the 5 s after which uvicorn and cpp-httplib close them. */
const keepAliveMs = 4000;

/**
 * Passes every request on to one server, and its answer back, piece by piece as they come: whoever reads slowly slows the one who
 * sends, and whoever leaves is missed at the other end. `witnessOf` may have a request looked at; what it throws would be a defect, and
 * is not caught.
 */
export function createProxy(target: URL, witnessOf: (message: IncomingMessage) => Witness | undefined): Proxy {
  const isSecure = target.protocol === 'https:';
  const agentOptions = { keepAlive: true, timeout: keepAliveMs };
  const agent = isSecure ? new SecureAgent(agentOptions) : new Agent(agentOptions);
  // Clients call either with or without the version that the base URL may end with.
  const base = target.pathname.replace(/\/+$/, '').replace(/\/v1$/, '');

  const running = new Set<ServerResponse>();
  let onEnd = () => {};

  const forward = (message: IncomingMessage, response: ServerResponse): void => {
    running.add(response);
    response.once('close', () => {
      running.delete(response);
      onEnd();
    });
    const { url = '' } = message;
    if (!url.startsWith('/')) return answerError(response, 400, 'invalid_url', `${url} is not a path on this server.`);
    const witness = witnessOf(message);
    const headers = [
      'host',
      target.host,
      ...framing(message),
      ...passedOn(message.rawHeaders, ['host', 'content-length', 'expect', ...(witness ? ['accept-encoding'] : [])]),
    ];
    // An answer that is looked at must not be compressed.
    if (witness) headers.push('accept-encoding', 'identity');
    const options = {
      protocol: target.protocol,
      hostname: target.hostname.replace(/^\[|\]$/g, ''),
      port: target.port,
      method: message.method,
      path: `${base}${url}`,
      headers,
      agent,
    };
    pass({ message, response, upstream: isSecure ? secureRequest(options) : request(options), witness, target });
  };

  const server = createServer({ keepAliveTimeout: 65_000, requestTimeout: 0 }, forward);
  return {
    server,
    async close(hurry) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const ended = new Promise<void>((resolve) => {
        onEnd = () => {
          // A connection on which an answer has just ended would be kept for the client's next request.
          setImmediate(() => server.closeIdleConnections());
          if (running.size === 0) resolve();
        };
      });
      const cut = () => server.closeAllConnections();
      hurry.addEventListener('abort', cut);
      if (hurry.aborted) cut();
      onEnd();
      await Promise.all([closed, ended]);
      hurry.removeEventListener('abort', cut);
      agent.destroy();
    },
  };
}

/**
 * Where the body ends, told to the server just as the client told it, even if its `connection` names these headers: Node frames bodies of
 * POST and PUT by itself, but would write that of a DELETE or a GET bare, and the server would take it for the connection's next request.
 */
function framing({ headers }: IncomingMessage): string[] {
  const coding = headers['transfer-encoding'];
  if (coding !== undefined) return ['transfer-encoding', coding];
  const length = headers['content-length'];
  return length === undefined ? [] : ['content-length', length];
}

interface Hop {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly upstream: ClientRequest;
  readonly witness: Witness | undefined;
  readonly target: URL;
}

function pass({ message, response, upstream, witness, target }: Hop): void {
  let isWhole = false;
  if (witness) {
    message.on('data', (piece: Buffer) => witness.requestPiece(piece));
    message.on('end', () => witness.requestEnds());
  }
  message.pipe(upstream);
  upstream.on('response', (answer) => {
    if ((answer.statusCode as number) < 100) return void upstream.destroy(new Error(`it answered with status ${answer.statusCode}`));
    witness?.answerBegins(answer.statusCode as number, answer.headers['content-type'] ?? '');
    response.writeHead(answer.statusCode as number, answer.statusMessage, passedOn(answer.rawHeaders));
    response.flushHeaders();
    if (witness) answer.on('data', (piece: Buffer) => witness.answerPiece(piece));
    answer.on('end', () => (isWhole = true));
    // A server that breaks off in mid-answer: the client is to see just that.
    answer.on('error', () => response.destroy());
    answer.pipe(response);
  });
  upstream.on('error', (error) => {
    message.unpipe(upstream);
    // An answer that has begun has an end or an error of its own.
    if (response.headersSent || response.destroyed) return;
    witness?.answerBegins(badGateway, '');
    isWhole = true;
    refuse(message, response, target, error);
  });
  response.once('close', () => {
    const isComplete = isWhole && response.writableFinished;
    if (!isComplete || !upstream.writableFinished) upstream.destroy();
    witness?.ends(isComplete);
  });
}

const badGateway = 502;

/** The server cannot be reached, which is not the client's fault. */
function refuse(message: IncomingMessage, response: ServerResponse, { origin }: URL, error: Error): void {
  // What is left of the request would be taken for the next one.
  if (!message.complete) response.shouldKeepAlive = false;
  answerError(
    response,
    badGateway,
    'upstream_unreachable',
    `${origin} cannot be reached: ${messageOf(error) || (error as NodeJS.ErrnoException).code}`,
  );
}

/** In OpenAI's shape, so that its libraries understand. */
function answerError(response: ServerResponse, status: number, code: string, message: string): void {
  const body = JSON.stringify({ error: { message, type: status < 500 ? 'invalid_request_error' : 'upstream_error', code, param: null } });
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
