/**
 * A process that answers like an OpenAI server, on a schedule: each answer's first token so long after the request, its other tokens so
 * long after one another. Written on sockets, for an HTTP framework would take more of the shared cores than the generator that is
 * measured. It speaks only to HTTP/1.1 clients that give a content length. When it really had the request and really wrote is told in
 * each answer's last event, as `autoglm.timings`: milliseconds on the machine's monotonic clock, which the replay reads as well.
 *
 *   node fake-server.ts '{"ttftMs": 20, "gapMs": 10}'       prints its URL; ends with its standard input
 */
import { createServer, type Socket } from 'node:net';

interface Latencies {
  readonly ttftMs: number;
  readonly gapMs: number;
}

const latencies = JSON.parse(process.argv[2] ?? '{}') as Latencies;
const headers = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
const headEnd = Buffer.from('\r\n\r\n');
const bodyLengthMax = 8 * 1024 * 1024;
const event = (json: string) => `data: ${json}\n\n`;
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const common = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1760000000,"model":"fake"';
const token = Buffer.from(
  chunk(event(`{${common},"choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}`)),
);
const headersAndToken = Buffer.concat([Buffer.from(headers), token]);
const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;

const server = createServer({ noDelay: true }, (socket) => {
  let pending: Buffer = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('data', (piece) => {
    const receivedAt = monotonicMs();
    pending = pending.length === 0 ? piece : Buffer.concat([pending, piece]);
    const bodyStart = pending.indexOf(headEnd) + headEnd.length;
    if (bodyStart < headEnd.length) return;
    const head = pending.toString('latin1', 0, bodyStart);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
    if (length > bodyLengthMax) return void socket.destroy();
    if (pending.length < bodyStart + length) return;
    const body = pending.subarray(bodyStart, bodyStart + length);
    pending = pending.subarray(bodyStart + length);
    if (head.startsWith('GET')) answerJson(socket, { object: 'list', data: [{ id: 'fake', object: 'model' }] });
    else answer(socket, body, receivedAt);
  });
});

function answer(socket: Socket, body: Buffer, receivedAt: number): void {
  // Both stand at the beginning, before a long prompt, as the replay writes them.
  const beginning = body.toString('latin1', 0, 200);
  const tokens = Number(/"max_tokens":(\d+)/.exec(beginning)?.[1] ?? 1);
  if (!beginning.includes('"stream":true')) {
    const words = body.toString('latin1').split(' ').length - 1;
    return answerJson(socket, {
      choices: [{ index: 0, message: { role: 'assistant', content: 'word' }, finish_reason: 'length' }],
      usage: { prompt_tokens: words, completion_tokens: 1 },
    });
  }
  let firstAt = 0;
  let sent = 0;
  // A missed deadline is not caught up with: the schedule says the least time, and what it came to is told.
  const next = () => {
    if (socket.destroyed) return;
    sent += 1;
    if (sent === 1) {
      firstAt = monotonicMs();
      socket.write(headersAndToken);
    } else socket.write(token);
    if (sent < tokens) setTimeout(next, latencies.gapMs);
    else finish();
  };
  const finish = () => {
    const timings = { received_at: receivedAt, first_written_at: firstAt, end_written_at: monotonicMs() };
    const last = event(
      `{${common},"choices":[{"index":0,"delta":{},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":${tokens}},"autoglm":${JSON.stringify({ timings })}}`,
    );
    socket.write(`${chunk(`${last}data: [DONE]\n\n`)}0\r\n\r\n`, 'latin1');
  };
  setTimeout(next, latencies.ttftMs);
}

function answerJson(socket: Socket, value: object): void {
  const body = JSON.stringify(value);
  socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

process.stdin.on('end', () => process.exit(0)).resume();
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (typeof address === 'object' && address) process.stdout.write(`http://127.0.0.1:${address.port}\n`);
});
