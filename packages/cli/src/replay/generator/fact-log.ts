import { factKinds, type FactKind, type TellFact } from './exchange-facts.ts';

/** Kind 1, id 4, length 4, time 8, value 8. */
const headBytes = 25;
/** Far longer than any read from a socket. */
export const logBytes = 256 * 1024;

const kindNumbers = new Map<FactKind, number>(factKinds.map((kind, index) => [kind, index]));

/**
 * Writes facts into a buffer; `post` gets what is in it when it is full, as a copy of just that size, which can change threads as it is.
 */
export class FactWriter {
  readonly #post: (log: Uint8Array<ArrayBuffer>) => void;
  readonly #bytes = new Uint8Array(logBytes);
  readonly #view = new DataView(this.#bytes.buffer);
  #used = 0;

  constructor(post: (log: Uint8Array<ArrayBuffer>) => void) {
    this.#post = post;
  }

  readonly tell: TellFact = (kind, id, atMs, value, bytes) => {
    const length = headBytes + bytes.length;
    if (length > logBytes) throw new Error(`a fact of ${bytes.length} bytes does not fit into a log`);
    if (this.#used + length > logBytes) this.flush();
    const at = this.#used;
    this.#view.setUint8(at, kindNumbers.get(kind) as number);
    this.#view.setUint32(at + 1, id);
    this.#view.setUint32(at + 5, bytes.length);
    this.#view.setFloat64(at + 9, atMs);
    this.#view.setFloat64(at + 17, value);
    this.#bytes.set(bytes, at + headBytes);
    this.#used = at + length;
  };

  /** Posts what there is. */
  flush(): void {
    if (this.#used === 0) return;
    const log = this.#bytes.slice(0, this.#used);
    this.#used = 0;
    this.#post(log);
  }
}

export interface ReadingOptions {
  /** Where a fact begins. */
  readonly from?: number;
  /** Looked at after each fact. */
  readonly isOver?: () => boolean;
}

/** Tells the facts of a log, in their order, at least one. Returns where the next would begin. */
export function readFacts(log: Uint8Array, tell: TellFact, { from = 0, isOver = () => false }: ReadingOptions = {}): number {
  const view = new DataView(log.buffer, log.byteOffset, log.byteLength);
  let at = from;
  do {
    const length = view.getUint32(at + 5);
    const bytesAt = at + headBytes;
    tell(
      factKinds[view.getUint8(at)] as FactKind,
      view.getUint32(at + 1),
      view.getFloat64(at + 9),
      view.getFloat64(at + 17),
      log.subarray(bytesAt, bytesAt + length),
    );
    at = bytesAt + length;
  } while (at < log.length && !isOver());
  return at;
}
