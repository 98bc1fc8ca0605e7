import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readSafetensors } from '../../src/quantize/hugging-face/safetensors.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'autoglm-safetensors-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function write(header: string): Promise<void> {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  await writeFile(path.join(folder, 'model.safetensors'), Buffer.concat([length, Buffer.from(header), Buffer.alloc(16)]));
}

const whole = { dtype: 'F32', shape: [2, 2], data_offsets: [0, 16] };
const index = (text: string) => writeFile(path.join(folder, 'model.safetensors.index.json'), text);

async function expectRefused(): Promise<void> {
  const error = (await readSafetensors(folder).catch((thrown: unknown) => thrown)) as AutoglmError;
  expect(error).toBeInstanceOf(AutoglmError);
  expect(error.code).toBe('engine_failed');
  expect(error.message).toContain(folder);
}

describe('the header of a safetensors file', () => {
  it('tells where each tensor lies', async () => {
    await write(JSON.stringify({ __metadata__: { format: 'pt' }, x: whole }));
    const tensors = await readSafetensors(folder);
    expect([...tensors.keys()]).toEqual(['x']);
    expect(tensors.get('x')).toMatchObject({ shape: [2, 2], elementBytes: 4 });
  });

  it.each(['null', '[]', '5', '"x"', '{"x":null}', '{"x":5}', '{"x":[]}'])('is refused as %s', async (header) => {
    await write(header);
    await expectRefused();
  });

  it.each<[string, unknown]>([
    ['shape', 5],
    ['shape', null],
    ['shape', [-2, -2]],
    ['shape', ['2', '2']],
    ['shape', [1.5, 8 / 3]],
    ['shape', undefined],
    ['data_offsets', 5],
    ['data_offsets', null],
    ['data_offsets', [0]],
    ['data_offsets', [-16, 0]],
    ['data_offsets', ['0', '16']],
    ['data_offsets', [0, 16, 32]],
    ['data_offsets', [1000, 1016]],
    ['dtype', null],
    ['dtype', ['F32']],
    ['dtype', 'toString'],
    ['dtype', undefined],
  ])('is refused with %s %j', async (key, value) => {
    await write(JSON.stringify({ x: { ...whole, [key]: value } }));
    await expectRefused();
  });

  it('names tensors without what a terminal obeys', async () => {
    await write(
      JSON.stringify({ [`\u001b]0;owned\u0007${'x'.repeat(1000)}`]: whole, y: { ...whole, shape: 5 } }).replace('[2,2]', '[2,3]'),
    );
    const { message } = (await readSafetensors(folder).catch((thrown: unknown) => thrown)) as AutoglmError;
    expect(message).not.toMatch(/\p{Cc}/u);
    expect(message.length).toBeLessThan(folder.length + 200);
  });

  it.each([
    'null',
    '5',
    '{"weight_map":5}',
    '{"weight_map":null}',
    '{"weight_map":["model.safetensors"]}',
    '{"weight_map":{"x":5}}',
    '{"weight_map":{"x":null}}',
  ])('is not read with the index %s', async (text) => {
    await write(JSON.stringify({ x: whole }));
    await index(text);
    await expectRefused();
  });
});
