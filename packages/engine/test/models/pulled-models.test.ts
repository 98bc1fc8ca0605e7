import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  findPulled,
  isFilePath,
  listPulled,
  parseReference,
  pulledPath,
  recordPulled,
  referenceTo,
  type Repository,
} from '../../src/models/pulled-models.ts';
import { resolveModel } from '../../src/models/resolve.ts';

describe('a reference to a hub', () => {
  it('is read', () => {
    expect(parseReference('hf:Qwen/Qwen3-0.6B-GGUF')).toEqual({
      repository: { hub: 'hf', owner: 'Qwen', name: 'Qwen3-0.6B-GGUF' },
      file: undefined,
    });
    expect(parseReference('ms:a/b:x/y.gguf')).toEqual({ repository: { hub: 'ms', owner: 'a', name: 'b' }, file: 'x/y.gguf' });
  });

  it.each([
    'hf:a',
    'hf:/b',
    'hf:a/b/c',
    'hf:../b',
    'hf:a/..',
    'hf:a/.b',
    'xx:a/b',
    'a/b',
    'hf:a/b:',
    'hf:a/b:../c',
    'hf:a/b:x/../c',
    'hf:a/b:/etc/passwd',
    'hf:a/b:x\u001b.gguf',
    'hf:a/b:x\\y',
    'hf:a/b\n',
  ])('%j is none', (text) => {
    expect(parseReference(text)).toBeUndefined();
  });

  it('never leads out of the cache folder', () => {
    const home = path.resolve('/home-of-models');
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', '.', '/', '\\', ':', ' ', '\0') }), (file) => {
        if (!isFilePath(file)) return;
        const at = pulledPath(home, { hub: 'hf', owner: 'a', name: 'b' }, file);
        expect(at.startsWith(path.join(home, 'models', 'hf', 'a', 'b') + path.sep)).toBe(true);
        expect(path.normalize(at)).toBe(at);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('pulled models', () => {
  let home: string;
  beforeEach(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'autoglm-pulled-'));
  });
  afterEach(() => rm(home, { recursive: true }));

  async function add(owner: string, name: string, file: string): Promise<string> {
    const repository: Repository = { hub: 'hf', owner, name };
    const at = pulledPath(home, repository, file);
    await mkdir(path.dirname(at), { recursive: true });
    await writeFile(at, Buffer.concat([Buffer.from('GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0', 'latin1'), Buffer.alloc(100)]));
    await recordPulled(at, {
      name: referenceTo(repository, file),
      bytes: 116,
      sha256: '0'.repeat(64),
      pulledAt: '2026-01-01T00:00:00.000Z',
    });
    return at;
  }

  it('are listed by name; what has no record or another length is not one', async () => {
    expect(await listPulled(home)).toEqual([]);
    const b = await add('o', 'b', 'B-q4.gguf');
    const a = await add('o', 'a', 'sub/A.gguf');
    await truncate(await add('o', 'c', 'C.gguf'), 10);
    await writeFile(path.join(path.dirname(b), 'unrecorded.gguf'), 'GGUF');
    expect(await listPulled(home)).toEqual([
      { name: 'hf:o/a:sub/A.gguf', path: a, bytes: 116 },
      { name: 'hf:o/b:B-q4.gguf', path: b, bytes: 116 },
    ]);
  });

  it('are found by any of their names', async () => {
    const at = await add('Own', 'Model-GGUF', 'sub/Model-Q4_K_M.gguf');
    for (const name of [
      'hf:Own/Model-GGUF:sub/Model-Q4_K_M.gguf',
      'hf:Own/Model-GGUF',
      'Own/Model-GGUF',
      'Model-Q4_K_M.gguf',
      'model-q4_k_m',
    ]) {
      expect((await findPulled(home, name))?.path, name).toBe(at);
      expect((await resolveModel({ model: name, home })).path, name).toBe(at);
    }
    expect(await findPulled(home, 'other')).toBeUndefined();
  });

  it('must be told apart when a name means several, and be there when it is a reference', async () => {
    await add('a', 'm', 'x.gguf');
    await add('b', 'm', 'x.gguf');
    await expect(findPulled(home, 'x')).rejects.toThrow(/may be any of hf:a\/m:x\.gguf, hf:b\/m:x\.gguf/);
    await expect(resolveModel({ model: 'hf:c/d', home })).rejects.toThrow(/has not been pulled: run autoglm pull hf:c\/d/);
  });
});
