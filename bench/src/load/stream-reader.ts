import type { StreamResult } from './load-client.ts';

export interface StreamReader {
  push(chunk: Buffer): void;
  /** Throws when the stream did not end as it should. */
  end(): StreamResult;
}

/** The last events: finish reason, usage and `[DONE]`. */
const tailLength = 4096;

/** With what chunked encoding puts after it. */
const endsWithDone = /data: \[DONE\]\s*(?:0\r\n\r\n)?$/;

/** Reads the beginning and the end of a stream of chat completion chunks; of what is between, only when it came. */
export function openStreamReader(now: () => number): StreamReader {
  let head = '';
  let tail: Buffer = Buffer.alloc(0);
  let firstTokenAt: number | undefined;
  let lastAt = 0;
  return {
    push(chunk) {
      lastAt = now();
      if (firstTokenAt === undefined) {
        head += chunk.toString('latin1');
        // The first chunk has an empty content and comes before the first token.
        if (/"content":"[^"]/.test(head)) firstTokenAt = lastAt;
      }
      tail = chunk.length >= tailLength ? chunk : Buffer.concat([tail, chunk]).subarray(-tailLength);
    },
    end() {
      const text = tail.toString('utf8');
      const promptTokens = /"prompt_tokens":\s*(\d+)/.exec(text)?.[1];
      const tokens = /"completion_tokens":\s*(\d+)/.exec(text)?.[1];
      const finishReason = [...text.matchAll(/"finish_reason":\s*"(\w+)"/g)].at(-1)?.[1];
      if (
        !endsWithDone.test(text) ||
        promptTokens === undefined ||
        tokens === undefined ||
        finishReason === undefined ||
        firstTokenAt === undefined
      ) {
        throw new Error(`a stream ended without its last events: ${text.slice(-200)}`);
      }
      return { firstTokenAt, endedAt: lastAt, promptTokens: Number(promptTokens), tokens: Number(tokens), finishReason };
    },
  };
}
