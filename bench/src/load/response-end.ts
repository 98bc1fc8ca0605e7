/** Finds the ends of the HTTP responses that come one after the other on a connection. Throws for any that is not a 200. */
export class ResponseEnd {
  #head = '';
  /** Bytes of the body that are still to come; undefined in a chunked body, whose end is its last chunk. */
  #left: number | undefined;
  #isInBody = false;
  #tail = '';

  /** Takes what was received; true when a response ended with it. */
  push(chunk: Buffer): boolean {
    if (this.#isInBody) return this.#body(chunk);
    const head = this.#head + chunk.toString('latin1');
    const end = head.indexOf('\r\n\r\n');
    if (end === -1) {
      this.#head = head;
      return false;
    }
    if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(`the server answered ${head.slice(0, 200)}`);
    const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head.slice(0, end + 2))?.[1];
    this.#isInBody = true;
    this.#left = length === undefined ? undefined : Number(length);
    this.#head = '';
    this.#tail = '';
    return this.#body(Buffer.from(head.slice(end + 4), 'latin1'));
  }

  #body(chunk: Buffer): boolean {
    let isOver: boolean;
    if (this.#left === undefined) {
      this.#tail = (this.#tail + chunk.toString('latin1', Math.max(0, chunk.length - lastChunk.length))).slice(-lastChunk.length);
      isOver = this.#tail === lastChunk;
    } else {
      this.#left -= chunk.length;
      isOver = this.#left === 0;
    }
    if (isOver) this.#isInBody = false;
    return isOver;
  }
}

const lastChunk = '\r\n0\r\n\r\n';
