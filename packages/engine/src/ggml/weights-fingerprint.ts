import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import type { Gguf } from './gguf.ts';

/** Of each tensor's beginning, middle and end. */
const sampleBytes = 1024;

/**
 * A hash by which weights are told apart. It covers the file's header whole (tokenizer, sizes, quantization) and three samples of every
 * tensor: hashing all bytes would double the time to load a large model. Training, merging and quantizing change every tensor nearly
 * everywhere; a tensor that was edited by hand in between the samples is not noticed.
 */
export function weightsFingerprint({ path, tensors }: Pick<Gguf, 'path' | 'tensors'>): string {
  const hash = createHash('sha256');
  const file = openSync(path, 'r');
  try {
    const header = Buffer.alloc(Math.min(...Array.from(tensors.values(), ({ offset }) => offset)));
    hash.update(header.subarray(0, readSync(file, header, 0, header.length, 0)));
    const sample = Buffer.alloc(sampleBytes);
    for (const { offset, size } of tensors.values()) {
      for (const start of [0, Math.floor(size / 2), Math.max(0, size - sampleBytes)]) {
        const count = readSync(file, sample, 0, Math.min(sampleBytes, size - start), offset + start);
        hash.update(sample.subarray(0, count));
      }
    }
    return hash.digest('base64url');
  } finally {
    closeSync(file);
  }
}
