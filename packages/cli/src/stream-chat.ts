import { EventSourceParserStream } from 'eventsource-parser/stream';

export interface ChatTurn {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface SamplingOptions {
  readonly temperature?: number | undefined;
  readonly max_tokens?: number | undefined;
  readonly seed?: number | undefined;
}

export interface ChatPart {
  readonly text: string;
  /** Known with the last part. */
  readonly completionTokens: number | undefined;
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly error?: { readonly message: string };
}

/** Asks an OpenAI-compatible server and yields the answer as it comes. Throws with the server's own message. An abort ends it quietly. */
export async function* streamChat(url: string, request: SamplingOptions & { model: string; messages: readonly ChatTurn[] }, signal: AbortSignal): AsyncGenerator<ChatPart> {
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
      signal,
    });
    if (!response.ok || !response.body) throw new Error(await messageOf(response));
    for await (const { data } of response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) {
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data) as Chunk;
      if (chunk.error) throw new Error(chunk.error.message);
      yield { text: chunk.choices?.[0]?.delta?.content ?? '', completionTokens: chunk.usage?.completion_tokens };
    }
  } catch (error) {
    if (signal.aborted) return;
    throw error instanceof TypeError ? new Error(`The server at ${url} cannot be reached: ${causeOf(error)}`) : error;
  }
}

async function messageOf(response: Response): Promise<string> {
  const body = await response.text();
  try {
    return (JSON.parse(body) as Required<Chunk>).error.message;
  } catch {
    return `The server answered with status ${response.status}.`;
  }
}

function causeOf(error: Error): string {
  return error.cause instanceof Error ? error.cause.message || String((error.cause as NodeJS.ErrnoException).code) : error.message;
}
