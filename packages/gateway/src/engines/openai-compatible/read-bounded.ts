import { AutoglmError } from '@open-autoglm/protocol';

/** The text of a body that is not larger than this. Throws what is made of one that is. */
export async function readBounded(body: AsyncIterable<Buffer>, bytesMax: number, tooLarge: () => Error): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > bytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** As `readBounded`, of an engine's answer. Throws `upstream_error`. */
export function readBoundedAnswer(engine: string, body: AsyncIterable<Buffer>, bytesMax: number): Promise<string> {
  return readBounded(body, bytesMax, () => new AutoglmError('upstream_error', `The engine ${engine} sent more than ${bytesMax} bytes.`));
}
