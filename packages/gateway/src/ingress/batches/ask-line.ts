import { randomUUID } from 'node:crypto';
import { toAutoglmError, type AutoglmError } from '@open-autoglm/protocol';
import type { Asked, Asker, AskedEmbeddings, Caller, EmbeddingAsker } from '../../common/asker.ts';
import { resultLine, type endpoints } from './batch-lines.ts';
import type { LineResult, OpenLine } from './store/batch-store.ts';

export interface LineParts {
  readonly asker: Asker;
  readonly embeddings: EmbeddingAsker;
  /** Wait for the whole answer, and write it as its route does. */
  readonly writeAnswer: (asked: Asked) => Promise<object>;
  readonly writeEmbeddings: (asked: AskedEmbeddings) => Promise<string>;
  readonly writeError: (error: AutoglmError) => string;
  /** Waits; rejects with the signal's reason. */
  readonly wait: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** 0 … 1. */
  readonly random: () => number;
}

/** Asked while it holds one of the gateway's places for lines. */
export type Hold = <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T>;

export interface LineCall {
  readonly api: (typeof endpoints)[keyof typeof endpoints];
  readonly line: OpenLine;
  readonly caller: Caller;
  readonly hold: Hold;
  readonly signal: AbortSignal;
}

/** Of failures at which the same request may succeed if it is sent again, and which are not the queue's. */
const triesMax = 5;
const firstWaitMs = 500;
const longestWaitMs = 30_000;

/**
 * The line's answer, or what it failed with in the end. Where there is no room it comes again until there is: a batch has time, and its
 * window bounds it. Rejects with the signal's reason, with what `hold` refuses with, and with `draining`: then the line is still to be
 * answered.
 */
export async function askLine(parts: LineParts, { api, line, caller, hold, signal }: LineCall): Promise<LineResult> {
  const id = `batch_req_${randomUUID().replaceAll('-', '')}`;
  for (let tries = 1, waits = 0; ;) {
    // Only what the request failed with is an answer: a place that is refused since the gateway closes says nothing of the line.
    const asked = await hold(() => ask(parts, { api, line, caller, signal }, id).catch((thrown: unknown) => ({ thrown })), signal);
    if (!('thrown' in asked)) return asked;
    signal.throwIfAborted();
    const error = toAutoglmError(asked.thrown);
    if (error.code === 'draining') throw error;
    const isFull = error.status === 429;
    if (!error.retryable || (!isFull && tries >= triesMax))
      return {
        outcome: 'failed',
        result: resultLine(id, line.custom_id, error.status, id, parts.writeError(error)),
        input_tokens: 0,
        output_tokens: 0,
      };
    if (!isFull) tries += 1;
    const patienceMs = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(waits, 16));
    waits += 1;
    // Lines that were refused together do not come again together, and none before it was told to.
    const random = parts.random();
    await parts.wait(Math.max((error.retryAfterSeconds ?? 0) * 1000 * (1 + random / 2), patienceMs * (0.5 + random / 2)), signal);
  }
}

async function ask(
  { asker, embeddings, writeAnswer, writeEmbeddings }: LineParts,
  { api, line, caller, signal }: Omit<LineCall, 'hold'>,
  id: string,
): Promise<LineResult> {
  const call = { body: JSON.parse(line.request) as unknown, headers: {}, caller, signal };
  const completed = (
    requestId: string,
    body: string,
    timings: { readonly promptTokens: number; readonly completionTokens: number },
  ): LineResult => ({
    outcome: 'completed',
    result: resultLine(id, line.custom_id, 200, requestId, body),
    input_tokens: timings.promptTokens,
    output_tokens: timings.completionTokens,
  });
  if (api === 'embeddings')
    return embeddings.embed(call, async (asked) => completed(asked.requestId, await writeEmbeddings(asked), asked.timings));
  return asker.run({ ...call, api }, async (asked) => completed(asked.requestId, JSON.stringify(await writeAnswer(asked)), asked.timings));
}
