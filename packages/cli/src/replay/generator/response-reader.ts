export interface ResponseHandler {
  /** `contentType` is empty where there is none. */
  onHead(status: number, contentType: string): void;
  /** Bytes of the body, which hold only during the call. */
  onBody(bytes: Uint8Array): void;
}

/** After the body. `broken` is final. */
export type ResponseState = 'reading' | 'whole' | 'broken';

/** Of all headers of an answer, and of its chunks' sizes and trailers. */
const headLengthMax = 64 * 1024;
const lineLengthMax = 16 * 1024;
const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const semicolon = 0x3b;

/**
 * Reads one HTTP/1.1 answer after the other as bytes come: what a client that asks by POST can get. It makes no object for a chunk, so
 * that reading 20,000 of them a second leaves no garbage behind, whose collection would stop the thread that has to be on time.
 */
export class ResponseReader {
  readonly #handler: ResponseHandler;
  #state: ResponseState = 'reading';
  /** What comes next. `size` is a chunk's, in hexadecimal, `extension` the rest of that line, `data-end` the end of line after a chunk. */
  #part: 'head' | 'counted' | 'until-closed' | 'size' | 'extension' | 'data' | 'data-end' | 'trailers' = 'head';
  #head = '';
  #left = 0;
  #lineLength = 0;
  #staysOpen = true;
  #idleMaxMs: number | undefined;

  constructor(handler: ResponseHandler) {
    this.#handler = handler;
  }

  get state(): ResponseState {
    return this.#state;
  }

  /** Another request may follow on the connection. */
  get staysOpen(): boolean {
    return this.#state === 'whole' && this.#staysOpen;
  }

  /** How long the server says that it waits for another one. */
  get idleMaxMs(): number | undefined {
    return this.#idleMaxMs;
  }

  /** Another answer comes. */
  reset(): void {
    this.#state = 'reading';
    this.#part = 'head';
    this.#head = '';
    this.#staysOpen = true;
    this.#idleMaxMs = undefined;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && this.#state === 'reading') at = this.#step(bytes, at);
    // Whoever says more than was asked for is not to be asked again.
    if (at < bytes.length) this.#staysOpen = false;
  }

  /** The server has closed the connection: an answer without a length ends so. */
  close(): void {
    if (this.#state !== 'reading') return;
    this.#state = this.#part === 'until-closed' ? 'whole' : 'broken';
    this.#staysOpen = false;
  }

  #step(bytes: Uint8Array, from: number): number {
    switch (this.#part) {
      case 'head':
        return this.#readHead(bytes, from);
      case 'size':
        return this.#readSize(bytes, from);
      case 'extension':
        return this.#readExtension(bytes, from);
      case 'data-end':
        return this.#readDataEnd(bytes, from);
      case 'trailers':
        return this.#readTrailers(bytes, from);
      case 'until-closed':
        this.#handler.onBody(bytes.subarray(from));
        return bytes.length;
      case 'counted':
      case 'data':
        return this.#readBody(bytes, from);
    }
  }

  #readHead(bytes: Uint8Array, from: number): number {
    const lengthBefore = this.#head.length;
    const piece = Buffer.from(bytes.buffer, bytes.byteOffset + from, Math.min(bytes.length - from, headLengthMax));
    this.#head += piece.toString('latin1');
    const end = this.#head.indexOf('\r\n\r\n', Math.max(0, lengthBefore - 3));
    if (end === -1) {
      if (this.#head.length >= headLengthMax || !this.#head.startsWith('HTTP/1.'.slice(0, this.#head.length))) this.#break();
      return from + piece.length;
    }
    const lines = this.#head.slice(0, end).split('\r\n');
    this.#head = '';
    this.#startBody(lines);
    return from + end + 4 - lengthBefore;
  }

  #startBody([statusLine = '', ...lines]: readonly string[]): void {
    const [, minor, digits] = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: |$)/.exec(statusLine) ?? [];
    const status = Number(digits);
    if (digits === undefined || status === 101) return this.#break();
    if (status < 200) return;
    const headers = new Map<string, string>();
    for (const line of lines) {
      const [, name = '', value = ''] = /^([^\s:]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
      if (name === '') return this.#break();
      const key = name.toLowerCase();
      const before = headers.get(key);
      headers.set(key, before === undefined ? value : `${before}, ${value}`);
    }
    const connection = (headers.get('connection') ?? '').toLowerCase();
    this.#staysOpen = minor === '1' ? !connection.includes('close') : connection.includes('keep-alive');
    const idle = /(?:^|[\s,])timeout=(\d{1,6})/i.exec(headers.get('keep-alive') ?? '')?.[1];
    this.#idleMaxMs = idle === undefined ? undefined : Number(idle) * 1000;
    this.#chooseBody(status, headers);
    if (this.#state !== 'broken') this.#handler.onHead(status, headers.get('content-type') ?? '');
  }

  #chooseBody(status: number, headers: ReadonlyMap<string, string>): void {
    const length = headers.get('content-length');
    const encoding = headers.get('transfer-encoding');
    if (status === 204 || status === 304) this.#state = 'whole';
    else if (encoding !== undefined) this.#expect(/(?:^|,)[ \t]*chunked$/i.test(encoding) ? 'size' : 'until-closed');
    else if (length === undefined) this.#expect('until-closed');
    else if (!/^\d{1,15}$/.test(length)) this.#break();
    else {
      this.#expect('counted');
      this.#left = Number(length);
      if (this.#left === 0) this.#state = 'whole';
    }
  }

  #readBody(bytes: Uint8Array, from: number): number {
    const to = Math.min(bytes.length, from + this.#left);
    this.#left -= to - from;
    this.#handler.onBody(bytes.subarray(from, to));
    if (this.#left === 0) {
      if (this.#part === 'counted') this.#state = 'whole';
      else this.#expect('data-end');
    }
    return to;
  }

  #readSize(bytes: Uint8Array, from: number): number {
    let at = from;
    for (; at < bytes.length; at += 1) {
      const byte = bytes[at] as number;
      const digit = hexDigit(byte);
      if (digit === -1) {
        if (this.#lineLength === 0 || (byte !== carriageReturn && byte !== semicolon && byte !== 0x20 && byte !== 0x09)) this.#break();
        else this.#part = 'extension';
        return at;
      }
      this.#left = this.#left * 16 + digit;
      this.#lineLength += 1;
      if (this.#lineLength > 12) {
        this.#break();
        return at;
      }
    }
    return at;
  }

  #readExtension(bytes: Uint8Array, from: number): number {
    const end = bytes.indexOf(lineFeed, from);
    if (end === -1) return this.#countLine(bytes, from);
    if (this.#left > 0) this.#part = 'data';
    else this.#expect('trailers');
    return end + 1;
  }

  #readDataEnd(bytes: Uint8Array, from: number): number {
    if (bytes[from] === lineFeed) this.#expect('size');
    else if (bytes[from] !== carriageReturn) this.#break();
    return from + 1;
  }

  /** Up to an empty line. `#left` is 1 when the line has more than its end. */
  #readTrailers(bytes: Uint8Array, from: number): number {
    const end = bytes.indexOf(lineFeed, from);
    for (let at = from; at < (end === -1 ? bytes.length : end); at += 1) if (bytes[at] !== carriageReturn) this.#left = 1;
    if (end === -1) return this.#countLine(bytes, from);
    if (this.#left === 0) this.#state = 'whole';
    this.#left = 0;
    this.#lineLength += end + 1 - from;
    if (this.#lineLength > headLengthMax) this.#break();
    return end + 1;
  }

  #countLine(bytes: Uint8Array, from: number): number {
    this.#lineLength += bytes.length - from;
    if (this.#lineLength > lineLengthMax) this.#break();
    return bytes.length;
  }

  #expect(part: 'counted' | 'until-closed' | 'size' | 'data-end' | 'trailers'): void {
    this.#part = part;
    this.#left = 0;
    this.#lineLength = 0;
  }

  #break(): void {
    this.#state = 'broken';
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
