import { keyHeaders, keyProblem, type KeyProblem } from './api-key.ts';
import { SseReader } from './sse.ts';

export interface ChatTurn {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

/** How answers are made; what is undefined is the server's to choose. Names as in OpenAI's API. */
export interface Sampling {
  readonly temperature: number;
  readonly top_p: number;
  readonly max_tokens: number | undefined;
  readonly seed: number | undefined;
}

export type ChatEvent =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'finish'; readonly reason: string }
  /** What only the end of the stream tells. Segments are in milliseconds, by name: `prefill_ms`. */
  | { readonly type: 'summary'; readonly completionTokens: number; readonly segments: Readonly<Record<string, number>> };

/** `unreachable`: nobody answered; `lost`: the answer broke off; `refused`: it said no, and `message` is its own. */
export class ChatError extends Error {
  override readonly name = 'ChatError';
  readonly kind: 'unreachable' | 'lost' | 'refused' | KeyProblem;

  constructor(kind: ChatError['kind'], message: string) {
    super(message);
    this.kind = kind;
  }
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null }; readonly finish_reason?: string | null }[];
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly autoglm?: { readonly timings?: Readonly<Record<string, number>> };
  readonly error?: { readonly message: string };
}

/** One answer, as it comes. Throws `ChatError`, or the signal's reason once it is aborted. */
export async function* streamChat(
  model: string,
  turns: readonly ChatTurn[],
  sampling: Sampling,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent> {
  const body = JSON.stringify({ model, messages: turns, ...sampling, stream: true, stream_options: { include_usage: true } });
  for await (const data of events(await post(body, signal), signal)) {
    if (data === '[DONE]') return;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error) throw new ChatError('refused', chunk.error.message);
    const [choice] = chunk.choices ?? [];
    if (choice?.delta?.content) yield { type: 'text', text: choice.delta.content };
    if (choice?.finish_reason) yield { type: 'finish', reason: choice.finish_reason };
    if (chunk.usage) yield { type: 'summary', completionTokens: chunk.usage.completion_tokens, segments: chunk.autoglm?.timings ?? {} };
  }
  throw new ChatError('lost', '');
}

async function post(body: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const headers: Readonly<Record<string, string>> = { 'content-type': 'application/json', ...keyHeaders() };
  const response = await fetch('/v1/chat/completions', { method: 'POST', headers, body, signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw new ChatError('unreachable', error instanceof Error ? error.message : '');
  });
  if (response.status === 401) throw new ChatError(keyProblem(headers), await refusal(response));
  if (!response.ok || !response.body) throw new ChatError('refused', await refusal(response));
  return response.body;
}

async function refusal(response: Response): Promise<string> {
  const text = await response.text();
  try {
    return (JSON.parse(text) as Required<Chunk>).error.message;
  } catch {
    return `HTTP ${response.status} ${response.statusText}`.trim();
  }
}

async function* events(body: ReadableStream<Uint8Array>, signal: AbortSignal): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const sse = new SseReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        signal.throwIfAborted();
        throw new ChatError('lost', '');
      });
      if (done) return;
      yield* sse.read(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
