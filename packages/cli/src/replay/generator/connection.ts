import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describeConnectionError } from './connection-error.ts';
import { ResponseReader } from './response-reader.ts';

export interface ConnectionOptions {
  /** `http:` or `https:`. */
  readonly url: URL;
  readonly connectTimeoutMs: number;
  /** Whatever was read has been told. */
  readonly onRead: () => void;
  /** Nothing can be sent any more. */
  readonly onClosed: (connection: Connection) => void;
}

/** Of one answer; the last call is `onWhole` or `onBroken`. */
export interface AnswerHandler {
  onHead(status: number, contentType: string): void;
  /** Bytes hold only during the call. */
  onBody(bytes: Uint8Array): void;
  onWhole(): void;
  onBroken(why: string): void;
}

/**
 * One for all sockets: a thread reads one at a time, and what is read is used at once. Without it each read would leave a buffer to be
 * collected.
 */
const readBuffer = Buffer.alloc(64 * 1024);
/** As long as most servers keep a connection that is not used; Node's own does so for five seconds. */
const idleMsUsual = 4000;
/** The server closes at its time, and a request may be on its way then. */
const idleMarginMs = 1000;

/** A connection that carries one request at a time. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #reader: ResponseReader;
  #handler: AnswerHandler | undefined;
  #error: Error | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { url, connectTimeoutMs } = options;
    this.#reader = new ResponseReader({
      onHead: (status, contentType) => this.#handler?.onHead(status, contentType),
      onBody: (bytes) => this.#handler?.onBody(bytes),
    });
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const isTls = url.protocol === 'https:';
    const onread = { buffer: readBuffer, callback: (length: number) => this.#read(length) };
    const common = { host, port: Number(url.port || (isTls ? 443 : 80)), noDelay: true, onread };
    // HTTP/2 is not negotiated: its streams share a connection, and stall together.
    const tls = { ALPNProtocols: ['http/1.1'], ...(isIP(host) === 0 && { servername: host }) };
    this.#socket = isTls ? connectTls({ ...common, ...tls }) : connectTcp(common);
    this.#socket.setTimeout(connectTimeoutMs, () => this.#socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })));
    this.#socket.once(isTls ? 'secureConnect' : 'connect', () => this.#socket.setTimeout(0));
    this.#socket.on('error', (error) => (this.#error = error));
    this.#socket.on('end', () => this.#close());
    this.#socket.on('close', () => this.#close());
  }

  /** May not be used again for longer after an answer. */
  get idleMaxMs(): number {
    const { idleMaxMs } = this.#reader;
    return idleMaxMs === undefined ? idleMsUsual : Math.max(0, idleMaxMs - idleMarginMs);
  }

  /** A whole message. */
  send(message: Uint8Array, handler: AnswerHandler): void {
    this.#handler = handler;
    this.#reader.reset();
    this.#socket.write(message);
  }

  /** Cuts what goes on, of which no more is told. */
  destroy(): void {
    this.#handler = undefined;
    this.#socket.destroy();
  }

  #read(length: number): boolean {
    if (this.#handler === undefined) {
      // What comes unasked belongs to no request. Told before `onRead`, which may lead to a request: 'close' comes later.
      this.#options.onClosed(this);
      this.#socket.destroy();
    } else {
      this.#reader.push(readBuffer.subarray(0, length));
      this.#endIfOver();
    }
    this.#options.onRead();
    return true;
  }

  #endIfOver(): void {
    const { state, staysOpen } = this.#reader;
    if (state === 'reading') return;
    const handler = this.#handler;
    this.#handler = undefined;
    if (!staysOpen) {
      this.#options.onClosed(this);
      this.#socket.destroy();
    }
    if (state === 'whole') handler?.onWhole();
    else handler?.onBroken('what came is not HTTP/1.1');
  }

  /** By the server, an error, or ourselves. */
  #close(): void {
    this.#options.onClosed(this);
    const handler = this.#handler;
    if (handler === undefined) return;
    this.#reader.close();
    this.#handler = undefined;
    if (this.#error === undefined && this.#reader.state === 'whole') handler.onWhole();
    else handler.onBroken(this.#error === undefined ? 'connection closed' : describeConnectionError(this.#error));
    this.#socket.destroy();
  }
}
