import koffi from 'koffi';
import type { Ggml, Pointer } from './bindings.ts';

/** Of Linux, on x64 and on arm64 with pages of 4 KB. */
const hugePageBytes = 2n ** 21n;
const MADV_HUGEPAGE = 14;

let madvise: ((address: Pointer, length: bigint, advice: number) => number) | undefined;

/**
 * Asks the system for large pages under a buffer that nothing was written to yet. Weights are read from end to end at every step: with
 * pages of 4 KB a virtual machine was seen to spend up to two thirds of a lone sequence's step on looking up addresses. A system that
 * has no such pages, or none left, gives small ones.
 */
export function useHugePages(ggml: Ggml, buffer: Pointer): void {
  if (process.platform !== 'linux') return;
  madvise ??= koffi.load('libc.so.6').func('int madvise(void *addr, size_t length, int advice)') as unknown as NonNullable<typeof madvise>;
  const base = ggml.bufferBase(buffer);
  // Whole ones only: what else lies on the first and the last is not ours.
  const first = ((base + hugePageBytes - 1n) / hugePageBytes) * hugePageBytes;
  const end = ((base + BigInt(ggml.bufferSize(buffer))) / hugePageBytes) * hugePageBytes;
  if (end > first) madvise(first, end - first, MADV_HUGEPAGE);
}
