/** With shared records: the keys of each shape come once. A server that has no records sends plain maps, which are read as well. */
export const messagePackAccept = 'application/msgpack; records=1';
export const messagePackType = 'application/msgpack';

/** A value of a stream that is kept while its end has not come, in bytes. */
const valueBytesMax = 8 * 1024 * 1024;

export interface MessagePack {
  encode(value: unknown): Uint8Array<ArrayBuffer>;
  decode(bytes: Uint8Array): unknown;
  /**
   * Takes a stream of values apart, whatever pieces it comes in; each call gives the values that its piece completes. Throws `RangeError`
   * for one that does not end.
   */
  createReader(): (piece: Uint8Array) => unknown[];
}

let loading: Promise<MessagePack> | undefined;

/** Loads the codec when it is first wanted: pages that speak JSON need not have it. */
export function loadMessagePack(): Promise<MessagePack> {
  return (loading ??= load());
}

async function load(): Promise<MessagePack> {
  const { Packr, Unpackr } = await import('msgpackr');
  const packr = new Packr({ useRecords: false, variableMapSize: true });
  const readerOptions = { mapsAsObjects: true, int64AsType: 'number' } as const;
  return {
    encode: (value) => packr.pack(value) as Uint8Array<ArrayBuffer>,
    decode: (bytes) => new Unpackr(readerOptions).unpack(bytes) as unknown,
    createReader() {
      // The structures that the stream announces are this stream's.
      const unpackr = new Unpackr({ ...readerOptions, structures: [] });
      let rest = new Uint8Array();
      return (piece) => {
        const values: unknown[] = [];
        const bytes = rest.length === 0 ? piece : concat(rest, piece);
        let end = 0;
        try {
          unpackr.unpackMultiple(bytes, (value: unknown, _start?: number, next?: number) => {
            values.push(value);
            end = next ?? bytes.length;
          });
        } catch (error) {
          if (!(error as { incomplete?: boolean }).incomplete) throw error;
        }
        rest = bytes.slice(end);
        if (rest.length > valueBytesMax) throw new RangeError(`A value is longer than ${valueBytesMax} bytes.`);
        return values;
      };
    },
  };
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
