import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { createMessagePackStream, decodeMessagePack, encodeMessagePack, encodeMessagePackFloat32 } from '@open-autoglm/gateway/parts';
import { Unpackr } from 'msgpackr';
import type { Payload } from './payloads.ts';

/** One way to write a payload, and to read it again. */
export interface WireEncoding {
  readonly name: string;
  encode(payload: Payload): Buffer;
  decode(payload: Payload, bytes: Buffer): unknown;
}

/** A level that a server can afford for each answer. */
const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };

/**
 * Nine digits tell a float32 from every other, which is what the gateway writes, and in this way: a replacer, which is asked of every
 * value, takes a sixth more.
 */
function withNineDigits(value: object): object {
  const { data, ...rest } = value as { readonly data: readonly { readonly embedding: readonly number[] }[] };
  return {
    ...rest,
    data: data.map((each) => ({ ...each, embedding: Array.from(each.embedding, (number) => Number(number.toPrecision(9))) })),
  };
}

const json: WireEncoding = {
  name: 'JSON',
  encode: ({ values, isStream, isVectors }) =>
    Buffer.from(
      isStream
        ? `${values.map((value) => `data: ${JSON.stringify(value)}\n\n`).join('')}data: [DONE]\n\n`
        : JSON.stringify(isVectors ? withNineDigits(values[0] as object) : values[0]),
    ),
  decode: ({ isStream }, bytes) => {
    const text = bytes.toString();
    return isStream
      ? text
          .split('\n\n')
          .slice(0, -2)
          .map((event) => JSON.parse(event.slice('data: '.length)) as unknown)
      : JSON.parse(text);
  },
};

const messagePack = (form: 'plain' | 'records'): WireEncoding => ({
  name: form === 'plain' ? 'MessagePack' : 'MessagePack, records',
  encode({ values, isStream, isVectors }) {
    if (!isStream) return (isVectors ? encodeMessagePackFloat32 : encodeMessagePack)(values[0], form);
    const pack = createMessagePackStream(form);
    return Buffer.concat(values.map(pack));
  },
  decode: ({ isStream }, bytes) =>
    isStream ? new Unpackr({ structures: [], mapsAsObjects: true }).unpackMultiple(bytes) : decodeMessagePack(bytes),
});

/** The first is what the others are measured against. */
export const encodings: readonly WireEncoding[] = [
  json,
  {
    name: 'JSON + brotli',
    encode: (payload) => brotliCompressSync(json.encode(payload), brotli),
    decode: (payload, bytes) => json.decode(payload, brotliDecompressSync(bytes)),
  },
  messagePack('plain'),
  messagePack('records'),
];
