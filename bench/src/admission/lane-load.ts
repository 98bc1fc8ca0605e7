import { Agent, request } from 'undici';
import type { Due } from './lane-schedule.ts';

export interface LaneLoad {
  readonly url: string;
  readonly schedule: readonly Due[];
  /** The number of the first prompt: of two loads with different numbers no two prompts are alike. */
  readonly firstPrompt: number;
  /** Of the same model, that prompts are made of: no two alike in their first block. */
  readonly vocabularySize: number;
  /** Merged into every request. */
  readonly body: object;
  /** Whether the server is told of the lanes; else all is of one. */
  readonly tellsLanes: boolean;
  readonly deadlineMs?: number | undefined;
}

/**
 * What became of a request. Times in milliseconds after the load's beginning, or of the request itself where they end in `Ms` of a
 * duration.
 */
export interface LoadOutcome {
  readonly due: Due;
  readonly result: 'answered' | 'refused' | 'failed';
  /** From when it was due. */
  readonly ttftMs: number;
  readonly totalMs: number;
  /** As the server says: until its prompt began to be read. */
  readonly queueMs: number;
  readonly retryAfterSeconds: number | undefined;
  readonly endedAtMs: number;
}

/** Sends requests when they are due, whether or not the server keeps up, and waits for all of them. */
export async function runLaneLoad(load: LaneLoad): Promise<readonly LoadOutcome[]> {
  const agent = new Agent({ pipelining: 1, keepAliveTimeout: 10_000, headersTimeout: 0, bodyTimeout: 0 });
  const beginMs = performance.now();
  try {
    return await Promise.all(load.schedule.map((due, index) => send(load, due, index, beginMs, agent)));
  } finally {
    await agent.close();
  }
}

async function send(load: LaneLoad, due: Due, index: number, beginMs: number, agent: Agent): Promise<LoadOutcome> {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, due.atMs - (performance.now() - beginMs))));
  const dueMs = beginMs + due.atMs;
  const outcome = (result: LoadOutcome['result'], changes: Partial<LoadOutcome> = {}): LoadOutcome => {
    const nowMs = performance.now();
    return {
      due,
      result,
      ttftMs: Infinity,
      totalMs: nowMs - dueMs,
      queueMs: 0,
      retryAfterSeconds: undefined,
      endedAtMs: nowMs - beginMs,
      ...changes,
    };
  };
  const { promptTokens, outputTokens, lane } = due;
  const body = JSON.stringify({
    model: 'default',
    prompt: promptOf(promptTokens, load.firstPrompt + index, load.vocabularySize),
    max_tokens: outputTokens,
    stream: true,
    ...load.body,
    autoglm: { ...(load.tellsLanes && { lane }), ...(load.deadlineMs !== undefined && { deadline_ms: load.deadlineMs }) },
  });
  try {
    const response = await request(`${load.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      dispatcher: agent,
    });
    if (response.statusCode !== 200) {
      await response.body.dump();
      return outcome(response.statusCode === 429 ? 'refused' : 'failed', { retryAfterSeconds: Number(response.headers['retry-after']) });
    }
    return await readStream(response.body.setEncoding('utf8'), dueMs, outcome);
  } catch {
    return outcome('failed');
  }
}

async function readStream(
  text: AsyncIterable<string>,
  dueMs: number,
  outcome: (result: LoadOutcome['result'], changes?: Partial<LoadOutcome>) => LoadOutcome,
): Promise<LoadOutcome> {
  let ttftMs = Infinity;
  let tail = '';
  for await (const piece of text) {
    if (ttftMs === Infinity && piece.includes('"text"')) ttftMs = performance.now() - dueMs;
    tail = (tail + piece).slice(-4000);
  }
  const isWhole = tail.trimEnd().endsWith('data: [DONE]') && !tail.includes('"error"');
  return outcome(isWhole ? 'answered' : 'failed', { ttftMs, queueMs: Number(/"queue_ms":([\d.]+)/.exec(tail)?.[1] ?? 0) });
}

/** Words of chance: the server must read every prompt. */
function promptOf(length: number, index: number, vocabularySize: number): number[] {
  const usable = vocabularySize - 300;
  return Array.from({ length }, (_, place) => 300 + ((place * 7919 + index * 104_729 + ((place * index) % 613)) % usable));
}
