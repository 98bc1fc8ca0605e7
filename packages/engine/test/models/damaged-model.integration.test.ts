import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestModel } from '../support/default-model.ts';
import { writeTinyModel } from '../support/tiny-model.ts';

type Damage = (bytes: Buffer) => void;

/** Behind a key of the header stand its type and its value. */
const key =
  (name: string, write: (bytes: Buffer, at: number) => void): Damage =>
  (bytes) => {
    const at = bytes.indexOf(name);
    expect(at).toBeGreaterThan(0);
    write(bytes, at + name.length + 4);
  };
const whole = (name: string, value: number) => key(`llama.${name}`, (bytes, at) => bytes.writeUInt32LE(value, at));
const real = (name: string, value: number) => key(`llama.${name}`, (bytes, at) => bytes.writeFloatLE(value, at));
/** Behind a tensor's name stand its dimensions and its type. */
const tensorType =
  (name: string, type: number): Damage =>
  (bytes) => {
    const at = bytes.indexOf(name) + name.length;
    bytes.writeUInt32LE(type, at + 4 + 8 * bytes.readUInt32LE(at));
  };

const [i16, i32] = [25, 26] as const;

describe('a model of which something is wrong', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-damaged-'));
    await writeTinyModel(path.join(folder, 'whole.gguf'), {
      architecture: 'llama',
      seed: 5,
      type: 'f16',
      vocabulary: 320,
      headLength: 32,
      tiedEmbeddings: true,
    });
  });
  afterAll(() => rm(folder, { recursive: true }));

  it.each<[string, Damage, RegExp]>([
    ['no heads', whole('attention.head_count', 0), /llama\.attention\.head_count is 0, and not a whole number/],
    [
      'heads that keys do not divide',
      whole('attention.head_count_kv', 3),
      /llama\.attention\.head_count is 4, and no multiple of attention\.head_count_kv, 3/,
    ],
    ['no context', whole('context_length', 0), /llama\.context_length is 0/],
    [
      'a context of one token',
      whole('context_length', 1),
      /llama\.context_length is 1, and a prompt with its answer has at least 2 tokens/,
    ],
    ['too many layers', whole('block_count', 4_000_000_000), /llama\.block_count is 4000000000, and not a whole number from 1 to 16777216/],
    ['RoPE beyond the head', whole('rope.dimension_count', 64), /llama\.rope\.dimension_count is 64, .* a head's 32 dimensions/],
    ['RoPE of half a pair', whole('rope.dimension_count', 31), /llama\.rope\.dimension_count is 31/],
    ['RoPE of nothing', whole('rope.dimension_count', 0), /llama\.rope\.dimension_count is 0/],
    ['a base of nothing', real('rope.freq_base', 0), /llama\.rope\.freq_base is 0, and not a number above 0/],
    ['a norm below nothing', real('attention.layer_norm_rms_epsilon', -1), /layer_norm_rms_epsilon is -1, and not a number above 0/],
    ['a norm of no number', real('attention.layer_norm_rms_epsilon', Number.NaN), /layer_norm_rms_epsilon is NaN/],
    [
      'a matrix of whole numbers',
      tensorType('blk.0.ffn_up.weight', i16),
      /the tensor blk\.0\.ffn_up\.weight has the type i16, which no weights have/,
    ],
    ['an embedding of whole numbers', tensorType('token_embd.weight', i16), /the tensor token_embd\.weight has the type i16/],
    ['a vector of whole numbers', tensorType('output_norm.weight', i32), /the tensor output_norm\.weight has the type i32/],
  ])('is refused by what it is, and ends no process: %s', async (_, damage, reason) => {
    const bytes = await readFile(path.join(folder, 'whole.gguf'));
    damage(bytes);
    const file = path.join(folder, 'damaged.gguf');
    await writeFile(file, bytes);
    expect(() => openTestModel(file).close()).toThrow(
      expect.objectContaining({ code: 'engine_failed', message: expect.stringMatching(reason) }),
    );
  });
});
