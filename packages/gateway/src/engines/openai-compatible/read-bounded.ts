import { AutoglmError } from '@open-autoglm/protocol';

/** The text of a body that is not larger than this. Throws `upstream_error`. */
export async function readBounded(engine: string, body: AsyncIterable<Buffer>, bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > bytesMax) throw new AutoglmError('upstream_error', `The engine ${engine} sent more than ${bytesMax} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
