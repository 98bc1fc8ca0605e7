import type { StreamPart } from '@open-autoglm/protocol';
import type { Exchange } from '../common/exchange.ts';
import type { AttentionMaps } from './attention-maps.ts';
import { FirstText } from './first-text.ts';
import type { Usage } from './usage.ts';

/** Writes a stream's parts in one encoding. */
export interface PartEncoder<T> {
  readonly usage: Usage;
  readonly attention: AttentionMaps;
  /** Empty or undefined: nothing is said of this part. */
  encode(part: StreamPart): T | undefined;
  /** What is written when all parts are known. Empty or undefined: nothing. */
  encodeLast(): T | undefined;
}

/** Sends what was written to the client. */
export interface PartWriter<T> {
  readonly isFull: boolean;
  write(encoded: T): void;
  flush(): void;
  drained(): Promise<void>;
}

/** Sends the parts. When the client reads slowly, the next part is not asked for before it has caught up. */
export async function sendParts<T>(
  { response, request }: Exchange,
  parts: AsyncIterable<StreamPart>,
  encoder: PartEncoder<T>,
  writer: PartWriter<T>,
  beforeFirst: () => void,
): Promise<void> {
  const firstText = new FirstText(request.emit);
  try {
    for await (const part of parts) {
      if (!response.headersSent) beforeFirst();
      encoder.usage.add(part);
      encoder.attention.add(part);
      firstText.see(part);
      const encoded = encoder.encode(part);
      if (encoded) writer.write(encoded);
      if (writer.isFull) await waitForClient(writer, request.emit);
    }
    const last = response.headersSent ? encoder.encodeLast() : undefined;
    if (last) writer.write(last);
  } finally {
    // What is written after this, the stream's end or an error, must not overtake the parts.
    writer.flush();
  }
}

async function waitForClient<T>(writer: PartWriter<T>, emit: Exchange['request']['emit']): Promise<void> {
  const since = performance.now();
  try {
    await writer.drained();
  } finally {
    emit({ type: 'segment-end', segment: 'output', durationMs: performance.now() - since, reason: 'client' });
  }
}
