/** Characters of an event that are kept while its end has not come. */
const eventLengthLimit = 4 * 1024 * 1024;

/**
 * Cuts server-sent events out of text as it arrives in any pieces, and keeps only their `data`
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation).
 * `EventSource` itself can only GET.
 */
export class SseReader {
  #rest = '';
  #data: string[] = [];
  #dataLength = 0;

  /** The data of every event that this piece completes. Throws when an event grows beyond the limit. */
  read(piece: string): string[] {
    const events: string[] = [];
    // A carriage return at the end may be half of a line's end.
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?=[^\n])/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') this.#end(events);
      else if (line.startsWith('data:')) this.#add(line.slice(line[5] === ' ' ? 6 : 5));
    }
    if (this.#rest.length + this.#dataLength > eventLengthLimit) throw new Error('The server sent an event that never ends.');
    return events;
  }

  #add(data: string): void {
    this.#data.push(data);
    this.#dataLength += data.length;
  }

  #end(events: string[]): void {
    if (this.#data.length > 0) events.push(this.#data.join('\n'));
    this.#data = [];
    this.#dataLength = 0;
  }
}
