const newline = 0x0a;
const carriageReturn = 13;

/** An event longer than this is refused: nothing that answers a chat sends one, and memory must have a bound. */
const eventBytesMax = 8 * 1024 * 1024;

const byteOrderMark = '\uFEFF';

/**
 * Cuts a stream of server-sent events (WHATWG HTML, 9.2) into the `data` of each. Lines end with LF or CRLF; comments, other fields
 * and data that is empty are passed over. Bytes are decoded up to the last line end, which no character of UTF-8 contains.
 */
export class SseReader {
  readonly #onData: (data: string) => void;
  readonly #onError: (error: string) => void;
  #hasBegun = false;
  /** What came after the last line end. */
  #rest: Buffer[] = [];
  #restBytes = 0;
  #data: string | undefined;

  /** `onError`: of the field `error`, which is no standard's: llama.cpp told errors so until late in 2025, and then went on to `[DONE]`. */
  constructor(onData: (data: string) => void, onError: (error: string) => void) {
    this.#onData = onData;
    this.#onError = onError;
  }

  /** Throws `RangeError` for an event that is too long. */
  push(chunk: Buffer): void {
    const end = chunk.lastIndexOf(newline) + 1;
    if (end > 0) {
      const complete = chunk.subarray(0, end);
      this.#lines((this.#restBytes === 0 ? complete : this.#takeRest(complete)).toString('utf8'));
    }
    if (end < chunk.length) {
      this.#rest.push(chunk.subarray(end));
      this.#restBytes += chunk.length - end;
    }
    if (this.#restBytes + (this.#data?.length ?? 0) > eventBytesMax) throw new RangeError(`an event is longer than ${eventBytesMax} bytes`);
  }

  /** The stream is over; servers that forget the last blank line are understood. */
  end(): void {
    if (this.#restBytes > 0) this.#lines(`${this.#takeRest().toString('utf8')}\n`);
    this.#dispatch();
  }

  #takeRest(...more: Buffer[]): Buffer {
    const bytes = Buffer.concat([...this.#rest, ...more]);
    this.#rest = [];
    this.#restBytes = 0;
    return bytes;
  }

  #lines(text: string): void {
    const begin = !this.#hasBegun && text.startsWith(byteOrderMark) ? byteOrderMark.length : 0;
    this.#hasBegun = true;
    for (let start = begin; start < text.length;) {
      const feed = text.indexOf('\n', start);
      const end = feed > start && text.charCodeAt(feed - 1) === carriageReturn ? feed - 1 : feed;
      if (end === start) this.#dispatch();
      else if (text.startsWith('data:', start)) this.#add(text.slice(text[start + 5] === ' ' ? start + 6 : start + 5, end));
      else if (text.startsWith('error:', start)) this.#onError(text.slice(start + 6, end));
      start = feed + 1;
    }
  }

  #add(data: string): void {
    this.#data = this.#data === undefined ? data : `${this.#data}\n${data}`;
  }

  #dispatch(): void {
    const data = this.#data;
    this.#data = undefined;
    if (data) this.#onData(data);
  }
}
