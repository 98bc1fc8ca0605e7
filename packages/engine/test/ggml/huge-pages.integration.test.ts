import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Pointer } from '../../src/ggml/bindings.ts';
import { openDevice } from '../../src/ggml/device.ts';
import { useHugePages } from '../../src/ggml/huge-pages.ts';
import { loadGgml } from '../../src/ggml/library.ts';

const hasHugePages = existsSync('/sys/kernel/mm/transparent_hugepage/enabled');

/** What the system was told about the memory at an address; of addresses that were used and freed before, too. */
function flagsAt(address: Pointer): readonly string[] {
  const mappings = readFileSync('/proc/self/smaps', 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const mapping = mappings.find((lines) => {
    const [from, to] = lines.split(/[- ]/, 2).map((end) => BigInt(`0x${end}`)) as [Pointer, Pointer];
    return from <= address && address < to;
  });
  return (
    /^VmFlags: (.*)$/m
      .exec(mapping ?? '')?.[1]
      ?.trim()
      .split(' ') ?? []
  );
}

it.runIf(hasHugePages)('large pages are asked for under the whole pages of a buffer, and only there', () => {
  const ggml = loadGgml();
  const device = openDevice(ggml, { threads: 1, poll: 0 });
  const bytes = 9 * 2 ** 20;
  const buffer = ggml.bufferTypeAlloc(device.bufferType, bytes) as Pointer;
  try {
    const base = ggml.bufferBase(buffer);
    const before = flagsAt(base);
    useHugePages(ggml, buffer);
    expect(flagsAt(base + BigInt(bytes / 2))).toContain('hg');
    const page = 2n ** 21n;
    if (base % page !== 0n) expect(flagsAt(base)).toEqual(before);
  } finally {
    ggml.bufferFree(buffer);
    device.close();
  }
});

it.runIf(hasHugePages)('a buffer smaller than a large page is left as it is', () => {
  const ggml = loadGgml();
  const device = openDevice(ggml, { threads: 1, poll: 0 });
  const buffer = ggml.bufferTypeAlloc(device.bufferType, 2 ** 20) as Pointer;
  try {
    const before = flagsAt(ggml.bufferBase(buffer));
    useHugePages(ggml, buffer);
    expect(flagsAt(ggml.bufferBase(buffer))).toEqual(before);
  } finally {
    ggml.bufferFree(buffer);
    device.close();
  }
});
