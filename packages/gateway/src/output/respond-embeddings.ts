import type { EmbeddingAnswer } from '@open-autoglm/protocol';
import { encodingOf } from '../common/accepted-encoding.ts';
import type { AskedEmbeddings } from '../common/asker.ts';
import { encodeMessagePackFloat32, messagePackContentType } from '../common/message-pack.ts';
import type { TextsExchange } from '../common/texts-exchange.ts';
import { respondTexts } from './respond-texts.ts';
import type { EncodedAnswer } from './respond.ts';

type Parsed = Pick<AskedEmbeddings, 'model' | 'encodingFormat'>;
type Listed = Parsed & Pick<AskedEmbeddings, 'timings'>;

/** Answers the client, in whatever way the path ends. Never rejects. */
export function respondEmbeddings(exchange: TextsExchange<Parsed>, path: Promise<EmbeddingAnswer>): Promise<void> {
  const {
    parsed,
    timings,
    response: { req },
  } = exchange;
  return respondTexts(exchange, path, (answer) => encode({ ...parsed, timings }, answer, req.headers.accept));
}

/** Waits for the answer and writes it as JSON. */
export async function writeEmbeddings({ answer, ...asked }: AskedEmbeddings): Promise<string> {
  return JSON.stringify(toList(asked, await answer, toNumbers));
}

function encode(listed: Listed, answer: EmbeddingAnswer, accept: string | undefined): EncodedAnswer {
  const encoding = encodingOf(accept);
  if (encoding === 'json')
    return { contentType: 'application/json; charset=utf-8', body: JSON.stringify(toList(listed, answer, toNumbers)) };
  const list = toList(listed, answer, (vector) => Array.from(vector));
  return { contentType: messagePackContentType(encoding), body: encodeMessagePackFloat32(list, encoding) };
}

/** OpenAI's list of embeddings. */
function toList(
  { model, encodingFormat, timings }: Listed,
  { vectors, promptTokens }: EmbeddingAnswer,
  toArray: (vector: Float32Array) => number[],
): object {
  const data = vectors.map((vector, index) => ({
    object: 'embedding',
    index,
    embedding: encodingFormat === 'base64' ? toBase64(vector) : toArray(vector),
  }));
  const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens };
  return { object: 'list', data, model, usage, autoglm: timings.told() };
}

/** float32, little-endian, as every machine that we run on has it. */
function toBase64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}

/** Nine digits tell a float32 from every other; a double's seventeen would double the answer's size. */
function toNumbers(vector: Float32Array): number[] {
  return Array.from(vector, (value) => Number(value.toPrecision(9)));
}
