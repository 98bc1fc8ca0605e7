import { parentPort, workerData } from 'node:worker_threads';
import { startAlarm } from './alarm.ts';
import { FactWriter } from './fact-log.ts';
import type { FromGenerator, GeneratorThreadData, ToGenerator } from './messages.ts';
import { PollClock } from './poll-clock.ts';
import { PreciseAlarm } from './precise-alarm.ts';
import { Sender } from './sender.ts';
import { takeShortSlices } from './short-slices.ts';
import { UnreadLogs } from './unread-logs.ts';
import { warmUp } from './warm-up.ts';

const reportEveryMs = 100;

const port = parentPort as NonNullable<typeof parentPort>;
const { options, unreadLogs } = workerData as GeneratorThreadData;
const unread = new UnreadLogs(unreadLogs);
let originMs = 0;
let originNs = 0n;

let awake: Sender | undefined;
const now = () => performance.now() - originMs;
const polls = new PollClock();
const rough = startAlarm(() => {
  polls.stamp();
  precise.ring();
});
const precise = new PreciseAlarm({
  now,
  setRough: (atMs) => rough.set(originNs + BigInt(Math.ceil(atMs * 1e6))),
  onRing: () => awake?.wake(),
});
const clock = { now, arrivedAt: () => polls.stamp() - originMs, setAlarm: (atMs: number) => precise.set(atMs), onRead: precise.look };
startClock();
await takeShortSlices();
// Messages wait meanwhile. Without a loopback interface the first requests are late, and that is reported.
await warmUp({ ...clock, tell: new FactWriter(() => {}).tell, onSender: (sender) => (awake = sender) }).catch(() => {});
const facts = new FactWriter(postLog);
const sender = new Sender({ ...options, ...clock, tell: facts.tell });
awake = sender;
const reporting = setInterval(() => {
  sender.check();
  facts.flush();
  post({ kind: 'progress', takenCount: sender.takenCount });
}, reportEveryMs);

port.on('message', (message: ToGenerator) => {
  polls.stamp();
  switch (message.kind) {
    case 'requests':
      return sender.add(message.requests);
    case 'begin':
      startClock();
      post({ kind: 'begun' });
      return sender.begin();
    case 'complete':
      return sender.complete();
    case 'drop':
      return sender.drop(message.id);
    case 'stop':
      return sender.stop();
  }
});

const end = await sender.ended;
clearInterval(reporting);
rough.close();
facts.flush();
post({ kind: 'ended', end, originMs: Number(originNs) / 1e6, inFlightPeak: sender.inFlightPeak, connectionPeak: sender.connectionPeak });
port.close();

function startClock(): void {
  originNs = process.hrtime.bigint();
  originMs = performance.now();
}

/** A reader that is too slow holds the sender, whose lateness is reported, rather than filling the memory. */
function postLog(log: Uint8Array<ArrayBuffer>): void {
  unread.add(log.byteLength);
  post({ kind: 'log', log }, [log.buffer]);
}

function post(message: FromGenerator, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}
