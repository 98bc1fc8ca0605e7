import { parentPort, workerData } from 'node:worker_threads';
import type { RequestOutcome } from '../outcome.ts';
import { startAlarm } from './alarm.ts';
import type { FromGenerator, GeneratorThreadData, ToGenerator } from './messages.ts';
import { PollClock } from './poll-clock.ts';
import { Sender } from './sender.ts';
import { warmUp } from './warm-up.ts';

const reportEveryMs = 100;
/** Copying more at once would stop the sender for a millisecond. */
const outcomesPerMessageMax = 32;

const port = parentPort as NonNullable<typeof parentPort>;
const { options } = workerData as GeneratorThreadData;
let originMs = 0;
let originNs = 0n;
let addedCount = 0;
let outcomes: RequestOutcome[] = [];

let awake: Sender | undefined;
const polls = new PollClock();
const alarm = startAlarm(() => {
  polls.stamp();
  awake?.wake();
});
const clock = {
  now: () => performance.now() - originMs,
  arrivedAt: () => polls.stamp() - originMs,
  setAlarm: (atMs: number) => alarm.set(originNs + BigInt(Math.ceil(atMs * 1e6))),
};
startClock();
// Messages wait meanwhile. Without a loopback interface the first requests are late, and that is reported.
await warmUp({ ...clock, onSender: (sender) => (awake = sender) }).catch(() => {});
const sender = new Sender({
  ...options, ...clock,
  onOutcome(outcome) {
    outcomes.push(outcome);
    if (outcomes.length >= outcomesPerMessageMax) postProgress();
  },
});
awake = sender;
const reporting = setInterval(() => {
  sender.check();
  postProgress();
}, reportEveryMs);

port.on('message', (message: ToGenerator) => {
  polls.stamp();
  switch (message.kind) {
    case 'requests':
      addedCount += message.requests.length;
      return sender.add(message.requests);
    case 'begin':
      startClock();
      post({ kind: 'begun' });
      return sender.begin();
    case 'complete':
      return sender.complete();
    case 'stop':
      return sender.stop();
  }
});

const end = await sender.ended;
clearInterval(reporting);
alarm.close();
post({ kind: 'ended', ...takeProgress(), end, originMs: Number(originNs) / 1e6, inFlightPeak: sender.inFlightPeak, connectionPeak: sender.connectionPeak });
port.close();

function postProgress(): void {
  post({ kind: 'progress', ...takeProgress() });
}

function startClock(): void {
  originNs = process.hrtime.bigint();
  originMs = performance.now();
}

function takeProgress() {
  const taken = outcomes;
  outcomes = [];
  return { outcomes: taken, takenCount: addedCount - sender.waiting, inFlight: sender.inFlight };
}

function post(message: FromGenerator): void {
  port.postMessage(message);
}
