import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as it came. */
export interface ReceivedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: { readonly model: string; readonly stream?: boolean; readonly n?: number; readonly [field: string]: unknown };
}

/** What the backend does with a generation; the response is its to write, or to leave hanging. */
export type Behaviour = (response: ServerResponse, request: ReceivedRequest) => Promise<void> | void;

export interface FakeBackend extends AsyncDisposable {
  /** With `/v1`. */
  readonly url: string;
  readonly port: number;
  /** Generations, in order. */
  readonly requests: readonly ReceivedRequest[];
  /** Generations whose client is still there. */
  readonly openCount: number;
  /** How often the list of models was asked for. */
  readonly probeCount: number;
  /** What it does from now on. */
  behave(behaviour: Behaviour): void;
  /** Takes no connection any more, and ends what it has begun, as a server that was told to end does. */
  stopListening(): void;
  /** How it lists its models from now on. */
  list(behaviour: (response: ServerResponse) => void): void;
}

export const fakeModel = 'fake-model';

/** A server that speaks as much of OpenAI's API as it is told to, well or badly. */
export async function startFakeBackend(behaviour: Behaviour = say(), port = 0, host = '127.0.0.1'): Promise<FakeBackend> {
  const requests: ReceivedRequest[] = [];
  let current = behaviour;
  let list = listModels;
  let open = 0;
  let probes = 0;
  const server = createServer(async (message, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    if (message.method === 'GET') {
      probes += 1;
      return list(response);
    }
    const request = {
      path: message.url ?? '',
      headers: message.headers,
      body: JSON.parse(Buffer.concat(chunks).toString()) as ReceivedRequest['body'],
    };
    requests.push(request);
    open += 1;
    response.once('close', () => (open -= 1));
    await current(response, request);
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const address = server.address() as AddressInfo;
  return {
    url: `http://${host}:${address.port}/v1`,
    port: address.port,
    requests,
    get openCount() {
      return open;
    },
    get probeCount() {
      return probes;
    },
    behave: (next) => void (current = next),
    stopListening: () => void server.close(),
    list: (next) => void (list = next),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** As vLLM lists its one model. */
export function listModels(response: ServerResponse): void {
  response.setHeader('content-type', 'application/json');
  response.end(
    JSON.stringify({
      object: 'list',
      data: [{ id: fakeModel, object: 'model', created: 1_700_000_000, owned_by: 'vllm', max_model_len: 4096 }],
    }),
  );
}

/** Answers well: these tokens for every choice, streamed if asked for, with vLLM's fields about them. */
export function say(tokens: readonly string[] = ['Hello', ', ', 'world', '!']): Behaviour {
  return (response, { path, body }) => {
    const isChat = path.endsWith('/chat/completions');
    const count = body.n ?? 1;
    const usage = {
      prompt_tokens: 7,
      completion_tokens: tokens.length * count,
      total_tokens: 7 + tokens.length * count,
      prompt_tokens_details: { cached_tokens: 3 },
    };
    if (!body.stream) {
      const choices = Array.from({ length: count }, (_, index) => ({
        index,
        ...(isChat ? { message: { role: 'assistant', content: tokens.join('') } } : { text: tokens.join('') }),
        logprobs: null,
        finish_reason: 'stop',
      }));
      return sendJson(response, 200, { id: 'x', object: 'chat.completion', created: 1, model: body.model, choices, usage });
    }
    const events = begin(response);
    for (let index = 0; index < count; index += 1) {
      if (isChat) events.delta({ role: 'assistant', content: '' }, { index });
      for (const token of tokens) events.choice(index, isChat ? { delta: { content: token } } : { text: token });
      events.choice(index, { ...(isChat ? { delta: {} } : { text: '' }), finish_reason: 'stop' });
    }
    events.write({ choices: [], usage });
    events.done();
  };
}

/** Writes server-sent events in OpenAI's format. */
export function begin(response: ServerResponse) {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  const write = (chunk: object) =>
    void response.write(
      `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: fakeModel, ...chunk })}\n\n`,
    );
  const choice = (index: number, fields: object) => write({ choices: [{ index, logprobs: null, finish_reason: null, ...fields }] });
  return {
    write,
    choice,
    delta: (delta: object, { index = 0, ...fields }: { index?: number; [field: string]: unknown } = {}) =>
      choice(index, { delta, ...fields }),
    done: () => void response.end('data: [DONE]\n\n'),
  };
}

export function sendJson(response: ServerResponse, status: number, body: object | string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** Takes the request and never answers. */
export const hang: Behaviour = () => {};
