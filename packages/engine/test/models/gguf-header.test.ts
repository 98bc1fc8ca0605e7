import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GgufType } from '../../src/ggml/types.ts';
import { readGgufHeader } from '../../src/models/gguf-header.ts';
import { modelFacts } from '../../src/models/model-facts.ts';
import { shown } from '../../src/models/shown.ts';

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

const string = (text: string) => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);

interface Content {
  readonly alignment?: number;
  readonly offset?: number;
  readonly architecture?: string;
  readonly name?: string;
  readonly dimensions?: number;
  readonly size?: number;
  readonly type?: number;
}

/** One tensor of four f32, where the alignment has it. */
function gguf({ alignment = 32, offset = 0, architecture = 'llama', name = 'x', dimensions = 1, size = 4, type = 0 }: Content): Buffer {
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(1),
    u64(2),
    string('general.architecture'),
    u32(GgufType.STRING),
    string(architecture),
    string('general.alignment'),
    u32(GgufType.UINT32),
    u32(alignment),
    string(name),
    u32(dimensions),
    ...Array.from({ length: dimensions }, () => u64(size)),
    u32(type),
    u64(offset),
  ]);
  const start = alignment > 0 ? Math.ceil(header.length / alignment) * alignment : header.length;
  return Buffer.concat([header, Buffer.alloc(Math.min(start, 70_000) - header.length + 16)]);
}

describe("a GGUF's header", () => {
  let file: string;
  beforeAll(async () => {
    file = path.join(await mkdtemp(path.join(tmpdir(), 'autoglm-gguf-header-')), 'model.gguf');
  });
  afterAll(() => rm(path.dirname(file), { recursive: true }));

  async function refusal(content: Content): Promise<AutoglmError> {
    await writeFile(file, gguf(content));
    const error: unknown = await readGgufHeader(file).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AutoglmError);
    return error as AutoglmError;
  }

  it.each([8, 32, 64, 65_536])('says where its tensors lie with an alignment of %i', async (alignment) => {
    await writeFile(file, gguf({ alignment }));
    const { tensors, size } = await readGgufHeader(file);
    expect(tensors[0]?.offset).toBe(size - 16);
  });

  it.each([0, 1, 4, 24, 33, 131_072, 0xffff_ffff])('is refused with an alignment of %i', async (alignment) => {
    expect(await refusal({ alignment })).toMatchObject({
      code: 'engine_failed',
      message: expect.stringContaining(`its alignment is ${alignment}`),
    });
  });

  it.each([1024, Number.MAX_SAFE_INTEGER])('is refused when a tensor begins %i bytes further than it is long', async (offset) => {
    expect((await refusal({ offset })).message).toContain('the tensor x lies beyond its end');
  });

  it.each<[Content, string]>([
    [{ size: 0 }, '0 of the type 0'],
    [{ type: 43 }, '4 of the type 43'],
    [{ type: 0x4000_0000 }, '4 of the type 1073741824'],
  ])('is refused with a tensor that none can be: %j', async (content, told) => {
    expect((await refusal(content)).message).toContain(`the tensor x is ${told}, which none can be`);
  });

  const hostile = `\u001b]0;owned\u0007\r\n\u202e${'x'.repeat(10_000)}`;
  it('is shown without what a terminal obeys, and short', async () => {
    for (const content of [
      { name: hostile, offset: 1e6 },
      { name: hostile, dimensions: 5 },
    ]) {
      const { message } = await refusal(content);
      expect(message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(message.length).toBeLessThan(file.length + 200);
    }
    await writeFile(file, gguf({ architecture: hostile }));
    const { architecture, isKnown } = await modelFacts(file, { contextLength: 1024, kvType: 'f16' });
    expect([architecture, isKnown]).toEqual([shown(hostile), false]);
    expect(architecture).toMatch(/^[^\p{Cc}\p{Cf}]{60}…$/u);
    expect(shown('qwen3·模型')).toBe('qwen3·模型');
  });
});
