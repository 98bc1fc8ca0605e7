/** A thread of its own takes short slices, and tells how the kernel schedules it before and after. */
import { arch } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import koffi from 'koffi';
import { takeShortSlices } from '../../src/replay/generator/short-slices.ts';

export type Policy = 'usual' | 'batch';

/** As `struct sched_attr` has them. */
export interface Scheduling {
  readonly policy: number;
  readonly nice: number;
  /** 0 before Linux 6.12. */
  readonly sliceNs: number;
}

export interface SlicesTaken {
  /** Absent where the kernel does not tell. */
  readonly before: Scheduling | undefined;
  readonly isTaken: boolean;
  readonly after: Scheduling | undefined;
}

const numbers = { x64: { set: 314, get: 315 }, arm64: { set: 274, get: 275 } }[arch() as string];
const call = bind();
const batchPolicy = 3;

/** Where there is no such call, one that fails. */
function bind() {
  try {
    return koffi
      .load('libc.so.6')
      .func('long syscall(long number, int thread, _Inout_ uint8_t *attributes, unsigned int third, unsigned int fourth)');
  } catch {
    return () => -1;
  }
}

function read(): Buffer | undefined {
  const attributes = Buffer.alloc(48);
  return numbers && call(numbers.get, 0, attributes, attributes.length, 0) === 0 ? attributes : undefined;
}

function scheduling(): Scheduling | undefined {
  const attributes = read();
  return (
    attributes && { policy: attributes.readUInt32LE(4), nice: attributes.readInt32LE(16), sliceNs: Number(attributes.readBigUInt64LE(24)) }
  );
}

if ((workerData as Policy) === 'batch') {
  const attributes = read();
  attributes?.writeUInt32LE(batchPolicy, 4);
  if (numbers && attributes) call(numbers.set, 0, attributes, 0, 0);
}
const before = scheduling();
const isTaken = await takeShortSlices();
parentPort?.postMessage({ before, isTaken, after: scheduling() } satisfies SlicesTaken);
