export interface SseEvent {
  /** `message` where the stream names none. */
  readonly event: string;
  readonly data: string;
  /** The last one that the stream named, also for an event before this one. */
  readonly id: string;
}

/** Characters of an event that are kept while its end has not come. */
const eventLengthMax = 8 * 1024 * 1024;

/**
 * Takes a stream of server-sent events apart (WHATWG HTML, 9.2.6), whatever pieces it comes in. `EventSource` can only GET. Text is
 * expected as a `TextDecoder` gives it, without the byte order mark that it takes away.
 */
export class SseParser {
  #line = '';
  #endsWithCr = false;
  #data: string[] = [];
  #dataLength = 0;
  #event = '';
  #id = '';
  /** What the stream says of how long to wait before it is opened again, in ms. */
  retryMs: number | undefined;

  /** The events that this piece completes. Throws `RangeError` for an event that does not end. */
  push(piece: string): SseEvent[] {
    const events: SseEvent[] = [];
    // A line feed after a carriage return ended its line already, in the piece before.
    const start = this.#endsWithCr && piece.startsWith('\n') ? 1 : 0;
    if (piece !== '') this.#endsWithCr = piece.endsWith('\r');
    const end = /\r\n|\r|\n/g;
    end.lastIndex = start;
    let from = start;
    for (let found = end.exec(piece); found; found = end.exec(piece)) {
      this.#take(this.#line + piece.slice(from, found.index), events);
      this.#line = '';
      from = end.lastIndex;
    }
    this.#line += piece.slice(from);
    if (this.#line.length + this.#dataLength > eventLengthMax)
      throw new RangeError(`An event is longer than ${eventLengthMax} characters.`);
    return events;
  }

  #take(line: string, events: SseEvent[]): void {
    if (line === '') return this.#dispatch(events);
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') {
      this.#data.push(value);
      this.#dataLength += value.length;
    } else if (field === 'event') this.#event = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value);
  }

  #dispatch(events: SseEvent[]): void {
    if (this.#data.length > 0)
      events.push({ event: this.#event === '' ? 'message' : this.#event, data: this.#data.join('\n'), id: this.#id });
    this.#data = [];
    this.#dataLength = 0;
    this.#event = '';
  }
}
