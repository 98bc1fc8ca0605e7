/**
 * A server in OpenAI's format that costs as little as it can: the same answer for every request, after as many milliseconds as it is told
 * to. It counts its answers.
 */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerChunks, type BackendAnswer, type BackendQuestion } from './protocol.ts';

const text = 'Hello from a backend that does not think.';
const usage = { prompt_tokens: 10, completion_tokens: answerChunks, total_tokens: 10 + answerChunks };
const whole = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'bench',
    choices: [{ index: 0, message: { role: 'assistant', content: text }, logprobs: null, finish_reason: 'stop' }],
    usage,
  }),
);
const chunk = (delta: object, finishReason: string | null) =>
  Buffer.from(
    `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'bench', choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }] })}\n\n`,
  );
const first = chunk({ role: 'assistant', content: '' }, null);
const middle = Array.from({ length: answerChunks }, (_, index) => chunk({ content: ` word${index}` }, null));
const last = Buffer.concat([
  chunk({}, 'stop'),
  Buffer.from(
    `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'bench', choices: [], usage })}\n\ndata: [DONE]\n\n`,
  ),
]);
const models = Buffer.from(JSON.stringify({ object: 'list', data: [{ id: 'bench', object: 'model', created: 1, owned_by: 'bench' }] }));
let delayMs = 0;
let answers = 0;

const server = createServer((message, response) => {
  if (message.method === 'GET') return send(response, models);
  answers += 1;
  let isStream = false;
  message.on('data', (data: Buffer) => (isStream ||= data.includes('"stream":true')));
  message.on('end', () => {
    const answer = () => (isStream ? stream(response) : send(response, whole));
    if (delayMs > 0) setTimeout(answer, delayMs);
    else answer();
  });
});
server.listen(0, '127.0.0.1', () => process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }));
process.on('message', (told: BackendQuestion) => {
  if ('delayMs' in told) delayMs = told.delayMs;
  else process.send?.({ answers } satisfies BackendAnswer);
});
process.on('disconnect', () => process.exit());

function send(response: ServerResponse, body: Buffer): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}

/** A chunk in each turn of the loop, as tokens come one by one. */
function stream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(first);
  let next = 0;
  const write = () => {
    if (next === middle.length) return void response.end(last);
    response.write(middle[next]);
    next += 1;
    setImmediate(write);
  };
  setImmediate(write);
}
