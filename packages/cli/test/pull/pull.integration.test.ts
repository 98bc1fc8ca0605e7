import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { resolveModel } from '@open-autoglm/engine/models';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ModelList } from '../../src/models/models.ts';
import { run, start } from '../support.ts';
import { startHub, type HubServer } from './hub-server.ts';

describe('autoglm pull', () => {
  let server: HubServer;
  let home: string;
  let bytes: Buffer;
  beforeAll(async () => {
    const folder = process.env['AUTOGLM_HOME'] ?? (await mkdtemp(path.join(tmpdir(), 'autoglm-home-')));
    bytes = await readFile((await resolveModel({ model: 'default', home: folder })).path);
  });
  beforeEach(async () => {
    server = await startHub();
    home = await mkdtemp(path.join(tmpdir(), 'autoglm-pull-'));
  });
  afterEach(async () => {
    await server.close();
    await rm(home, { recursive: true });
  });

  const env = () => ({ AUTOGLM_HOME: home, HF_ENDPOINT: server.url, MODELSCOPE_ENDPOINT: server.url, AUTOGLM_THREADS: '1' });
  const pull = (reference: string, more: Readonly<Record<string, string>> = {}) => run(['pull', reference], { env: { ...env(), ...more } });
  const list = async () => JSON.parse((await run(['models', '--json'], { env: env() })).stdout) as ModelList;

  it('brings a model through a broken connection, which then is listed and answers by its name', async () => {
    server.put('mini-q8_0.gguf', bytes);
    server.put('README.md', Buffer.from('# a model'));
    server.faults.push({ kind: 'drop', after: 10_000_000 });
    const pulled = await pull('hf:owner/model-GGUF');
    expect(pulled, pulled.stderr).toMatchObject({ code: 0, stdout: 'hf:owner/model-GGUF:mini-q8_0.gguf\n' });
    expect(pulled.stderr).toMatch(/ended early|failed/);
    expect(pulled.stderr).toContain('pulled 28 MB');

    const { models, available } = await list();
    expect(available).toEqual(['default', 'tinyllama', 'bge-small-zh', 'minilm']);
    expect(models).toEqual([
      expect.objectContaining({
        name: 'hf:owner/model-GGUF:mini-q8_0.gguf',
        bytes: bytes.length,
        architecture: 'llama',
        weightType: 'Q8_0',
        fits: true,
        problem: null,
      }),
    ]);
    // 8 layers of 2 KV heads of 64, in f16, for keys and for values.
    expect(models[0]?.memory).toMatchObject({ contextLength: 8192, kv: 8192 * 8 * 2 * 2 * 64 * 2 });

    const answered = await run(['chat', '--model', 'mini-q8_0', '--temperature', '0', '--max-tokens', '20', '中国的首都是哪里？'], {
      env: env(),
    });
    expect(answered.stdout).toContain('北京');

    const again = await pull('hf:owner/model-GGUF');
    expect(again).toMatchObject({ code: 0 });
    expect(again.stderr).toContain('is here already');
  });

  it('makes a model that goes by a name, and removes first what killed processes left of any', async () => {
    const file = path.join(home, 'quantized', `other.gguf.${randomUUID()}.tmp`);
    await mkdir(path.dirname(file));
    await writeFile(file, 'x');
    const yesterday = Date.now() / 1000 - 86_400;
    await utimes(file, yesterday, yesterday);
    expect(await pull('default')).toMatchObject({ code: 0, stdout: 'default\n' });
    expect((await readdir(home, { recursive: true })).toSorted()).toEqual([
      'minimind2-small-q8_0-v1.gguf',
      'minimind2-small-q8_0-v1.gguf.json',
      'quantized',
    ]);
  });

  it('takes it from ModelScope', async () => {
    server.put('mini.gguf', bytes);
    expect(await pull('ms:owner/model-GGUF')).toMatchObject({ code: 0, stdout: 'ms:owner/model-GGUF:mini.gguf\n' });
    expect((await list()).models.map(({ name }) => name)).toEqual(['ms:owner/model-GGUF:mini.gguf']);
  });

  it('lists the choices when there are several, and takes the one that is named', async () => {
    for (const name of ['a-q4.gguf', 'a-q8.gguf', 'big-00001-of-00002.gguf', 'mmproj-a.gguf']) server.put(name, bytes);
    const { code, stdout, stderr } = await pull('hf:owner/model-GGUF');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      'autoglm: hf:owner/model-GGUF has 2 models; say which:\n    28 MB  hf:owner/model-GGUF:a-q4.gguf\n    28 MB  hf:owner/model-GGUF:a-q8.gguf\n',
    );
    expect(await pull('hf:owner/model-GGUF:a-q9.gguf')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('has no a-q9.gguf. It has:'),
    });
    expect(await pull('hf:owner/model-GGUF:a-q8.gguf')).toMatchObject({ code: 0, stdout: 'hf:owner/model-GGUF:a-q8.gguf\n' });
  });

  it('opens a gated repository with HF_TOKEN, and never shows it', async () => {
    server.put('mini.gguf', bytes);
    server.token = 'hf_secret';
    const refused = await pull('hf:owner/model-GGUF', { HF_TOKEN: 'hf_other' });
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/does not let you read.*HF_TOKEN is right/) });
    expect(await pull('hf:owner/model-GGUF')).toMatchObject({ code: 1, stderr: expect.stringContaining('set HF_TOKEN') });
    const taken = await pull('hf:owner/model-GGUF', { HF_TOKEN: 'hf_secret' });
    expect(taken.code).toBe(0);
    expect(server.requests.some(({ host, headers }) => host === 'storage' && headers.authorization !== undefined)).toBe(false);
    const unsendable = await pull('hf:owner/model-GGUF', { HF_TOKEN: 'hf_secret\nhf_other' });
    expect(unsendable).toMatchObject({ code: 1, stderr: expect.stringMatching(/^autoglm: The key in HF_TOKEN cannot be sent/) });
    const withPassword = await pull('hf:owner/model-GGUF', { HF_ENDPOINT: server.url.replace('//', '//name:hf_secret@') });
    expect(withPassword).toMatchObject({ code: 1, stderr: 'autoglm: HF_ENDPOINT must hold no name and no password.\n' });
    expect(refused.stderr + taken.stderr + taken.stdout + unsendable.stderr).not.toMatch(/hf_secret|hf_other|signature/);
  });

  it.each([
    [{ kind: 'status', status: 403 }, /does not let you read this repository/],
    [{ kind: 'status', status: 404 }, /no such repository or file/],
    [{ kind: 'status', status: 418 }, /answered 418/],
  ] as const)('says what %j means', async (fault, message) => {
    server.hubFaults.push(fault);
    const { code, stderr } = await pull('hf:owner/model-GGUF');
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it('asks a busy hub again', async () => {
    server.put('mini.gguf', bytes);
    server.hubFaults.push({ kind: 'status', status: 429, headers: { 'retry-after': '0' } }, { kind: 'status', status: 502 });
    expect((await pull('hf:owner/model-GGUF')).code).toBe(0);
  });

  it('refuses what is damaged, is no model, or has none, and leaves nothing of it', async () => {
    server.put('mini.gguf', bytes);
    server.faults.push({ kind: 'damage' });
    expect(await pull('hf:owner/model-GGUF')).toMatchObject({ code: 1, stderr: expect.stringContaining('is damaged') });
    server.put('mini.gguf', Buffer.from('<html>a page that is not a model</html>'));
    expect(await pull('hf:owner/model-GGUF')).toMatchObject({ code: 1, stderr: expect.stringMatching(/cannot be used: it is a web page/) });
    expect((await list()).models).toEqual([]);
    expect(await pull('hf:owner/other')).toMatchObject({ code: 1, stderr: expect.stringContaining('no such repository') });
  });

  it.each([['hf:owner'], ['owner/model'], ['hf:../../etc'], ['hf:a/b:../c.gguf']])('refuses the reference %j', async (reference) => {
    expect(await pull(reference)).toMatchObject({ code: 1, stderr: expect.stringContaining('Write hf:OWNER/NAME') });
  });

  it('is done by one process at a time', async () => {
    server.put('mini.gguf', bytes);
    server.faults.push({ kind: 'hang', after: 1000 });
    const first = start(['pull', 'hf:owner/model-GGUF'], { env: env() });
    await first.saidOn('stderr', /0 % of 28 MB/);
    expect(await pull('hf:owner/model-GGUF')).toMatchObject({
      code: 1,
      stderr: `autoglm: The process ${first.child.pid} is pulling hf:owner/model-GGUF:mini.gguf already.\n`,
    });
    first.child.kill('SIGINT');
    expect(await first.ended).toBe(1);
    expect(first.stderr).toContain('The same command goes on from here');
    const folder = path.join(home, 'models', 'hf', 'owner', 'model-GGUF');
    expect((await readdir(folder)).toSorted()).toEqual(['mini.gguf.part', 'mini.gguf.part.json']);
    expect((await pull('hf:owner/model-GGUF')).code).toBe(0);
  });

  it('names a variable that is no address', async () => {
    expect(await pull('hf:owner/model-GGUF', { HF_ENDPOINT: 'huggingface' })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('HF_ENDPOINT must be a URL'),
    });
  });
});

describe('autoglm models', () => {
  it('says what is wrong with a cache folder that is none', async () => {
    const home = await mkdtemp(path.join(tmpdir(), 'autoglm-models-'));
    await writeFile(path.join(home, 'file'), '');
    const { code, stderr } = await run(['models'], { env: { AUTOGLM_HOME: path.join(home, 'file') } });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^autoglm: .*file cannot be read: ENOTDIR.* AUTOGLM_HOME names another folder\.\n$/),
    });
    await rm(home, { recursive: true });
  });

  it('tells people what there is, and what is wrong with a file', async () => {
    const home = await mkdtemp(path.join(tmpdir(), 'autoglm-models-'));
    const folder = path.join(home, 'models/hf/o/n');
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'x.gguf'), 'GGUF');
    await writeFile(path.join(folder, 'x.gguf.json'), JSON.stringify({ name: 'hf:o/n:x.gguf', bytes: 4, sha256: '', pulledAt: '' }));
    const { code, stdout } = await run(['models'], { env: { AUTOGLM_HOME: home } });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^model +weights +file +memory +fits\nhf:o\/n:x\.gguf .*ends inside its header.*\nnot fetched yet: default, tinyllama, bge-small-zh, minilm \(autoglm pull NAME\)\nin .*8,192 tokens in f16, of \d+ GB\n$/,
    );
    await rm(home, { recursive: true });
  });
});
