import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface ReceivedRequest {
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Readonly<Record<string, unknown>> & {
    readonly messages?: readonly { readonly content: string }[];
    readonly model?: string;
    readonly max_tokens?: number;
  };
}

export interface ScriptedServer {
  readonly url: string;
  /** Completions that were asked for, in the order of their coming; questions of the probe are not among them. */
  readonly received: readonly ReceivedRequest[];
  /** Resolves when so many have come. */
  hasReceived(count: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What the server does with a streamed request; the default answers in full. */
export type Behaviour = (response: ServerResponse, request: ReceivedRequest, count: number) => void;

export interface ScriptOptions {
  readonly behave?: Behaviour;
  /** For GET /v1/models and questions that are not streamed. */
  readonly probe?: Behaviour;
}

export const event = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
export const textChunk = (content: string) => event({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });

export function streamHead(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
}

export const answerInFull: Behaviour = (response) => {
  streamHead(response);
  response.write(event({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] }));
  for (const text of ['北京', '是', '首都']) response.write(textChunk(text));
  response.write(
    event({
      choices: [],
      usage: { prompt_tokens: 21, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 16 } },
      autoglm: { timings: { queue: 1, prefill: 2 } },
    }),
  );
  response.end('data: [DONE]\n\n');
};

/** Counts a word for two tokens, and seven for the template. */
const answerProbe: Behaviour = (response, { url, body }) => {
  const words = body.messages?.[0]?.content.trim().split(' ').length ?? 0;
  const value =
    url === '/v1/models'
      ? { object: 'list', data: [{ id: 'scripted' }] }
      : { choices: [], usage: { prompt_tokens: 7 + 2 * words, completion_tokens: 1 } };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
};

export async function startScriptedServer({ behave = answerInFull, probe = answerProbe }: ScriptOptions = {}): Promise<ScriptedServer> {
  const received: ReceivedRequest[] = [];
  const sockets = new Set<Socket>();
  const server = createServer(async (message, response) => {
    let text = '';
    for await (const piece of message.setEncoding('utf8')) text += piece as string;
    const request: ReceivedRequest = {
      url: message.url ?? '',
      headers: message.headers,
      body: text === '' ? {} : (JSON.parse(text) as ReceivedRequest['body']),
    };
    if (request.body['stream'] !== true) return probe(response, request, 0);
    received.push(request);
    server.emit('received');
    behave(response, request, received.length);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    async hasReceived(count) {
      while (received.length < count) await once(server, 'received');
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
