import { arch, getPriority } from 'node:os';

/** `struct sched_attr`, as Linux 3.14 had it: size, policy, flags, nice, priority, runtime, deadline, period. */
const attributesBytes = 48;
const policyAt = 4;
const niceAt = 16;
const runtimeAt = 24;
/** SCHED_OTHER: what a program is scheduled by unless somebody chose otherwise. */
const usualPolicy = 0;
/** The shortest that the kernel takes. */
const sliceNs = 100_000n;
/** Numbers of sched_setattr and sched_getattr. */
const systemCalls: Readonly<Record<string, { readonly set: number; readonly get: number }>> = {
  x64: { set: 314, get: 315 },
  arm64: { set: 274, get: 275 },
};

/**
 * Asks the scheduler to give this thread its share of a core in short pieces: when it wakes, it may then take the core from whoever
 * runs, and need not wait for a tick of up to 4 ms. The share does not grow by that, and no right is needed. Kernels before Linux 6.12
 * ignore it; false where it cannot be asked for.
 */
export async function takeShortSlices(): Promise<boolean> {
  const numbers = systemCalls[arch()];
  if (process.platform !== 'linux' || !numbers) return false;
  try {
    const { default: koffi } = await import('koffi');
    const call = koffi
      .load('libc.so.6')
      .func('long syscall(long number, int thread, _Inout_ uint8_t *attributes, unsigned int third, unsigned int fourth)');
    const attributes = Buffer.alloc(attributesBytes);
    if (call(numbers.get, 0, attributes, attributesBytes, 0) !== 0 || attributes.readUInt32LE(policyAt) !== usualPolicy) return false;
    attributes.writeInt32LE(getPriority(), niceAt);
    attributes.writeBigUInt64LE(sliceNs, runtimeAt);
    return call(numbers.set, 0, attributes, 0, 0) === 0;
  } catch {
    // No such library, or a sandbox that forbids the call.
    return false;
  }
}
