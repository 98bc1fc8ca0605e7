import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { makeRequestMessage } from './request-message.ts';
import { Sender, type SenderOptions } from './sender.ts';

const requestCount = 600;
const everyMs = 1;
const chunkCount = 20;
const event =
  'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n';
const chunk = `${event.length.toString(16)}\r\n${event}\r\n`;
const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
const done = 'data: [DONE]\n\n';
const tail = `${done.length.toString(16)}\r\n${done}\r\n0\r\n\r\n`;

/**
 * Sends requests to a server within this thread, so that the first requests of a replay find code that is compiled: without it they
 * were up to 50 ms late. Takes `requestCount` milliseconds. `setAlarm` is the replay's own, whose rings go to the sender that is given
 * to `onSender`.
 */
export async function warmUp({
  onSender,
  ...options
}: Pick<SenderOptions, 'setAlarm' | 'now' | 'arrivedAt' | 'onRead' | 'tell'> & {
  readonly onSender: (sender: Sender) => void;
}): Promise<void> {
  const server = createServer({ noDelay: true }, answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sender = new Sender({ targets: [url], timeoutMs: 2000, inFlightMax: requestCount, silenceMaxMs: 2000, ...options });
  onSender(sender);
  const message = makeRequestMessage({ url, path: '/v1/chat/completions', headers: { 'content-type': 'application/json' }, body: '{}' });
  sender.add(Array.from({ length: requestCount }, (_, index) => ({ target: 0, block: 0, dueInBlockMs: index * everyMs, message })));
  sender.complete();
  sender.begin();
  const checking = setInterval(() => sender.check(), 100);
  await sender.ended;
  clearInterval(checking);
  server.close();
}

function answer(socket: Socket): void {
  socket.on('error', () => socket.destroy());
  socket.on('data', () => {
    socket.write(head);
    let sent = 0;
    const next = () => {
      if (socket.destroyed) return;
      socket.write(sent < chunkCount ? chunk : tail);
      if (sent < chunkCount) setTimeout(next, everyMs);
      sent += 1;
    };
    next();
  });
}
