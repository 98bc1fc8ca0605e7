import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseReference, type Repository } from '@open-autoglm/engine/cache';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { download, type DownloadOptions } from '../../src/pull/download.ts';
import { huggingFace } from '../../src/pull/hugging-face.ts';
import { modelScope } from '../../src/pull/model-scope.ts';
import { retryDelay } from '../../src/pull/retry.ts';
import { startHub, type Fault, type HubServer } from './hub-server.ts';

const { repository } = parseReference('hf:owner/model-GGUF') as { repository: Repository };
const retry = { triesMax: 3, failuresMax: 8, firstDelayMs: 1, delayMaxMs: 2 };
const bytes = Buffer.concat([Buffer.from('GGUF'), randomBytes(300_000)]);
const sha256 = createHash('sha256').update(bytes).digest('hex');

describe('a download', () => {
  let server: HubServer;
  let folder: string;
  let file: string;
  beforeEach(async () => {
    server = await startHub();
    server.put('a b.gguf', bytes);
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-download-'));
    file = path.join(folder, 'a.gguf');
  });
  afterEach(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });

  function fetchFile(options: Partial<DownloadOptions> = {}, env: NodeJS.ProcessEnv = {}, timeoutMs = 5000): Promise<string> {
    const hub = huggingFace({ HF_ENDPOINT: server.url, ...env }, timeoutMs);
    return download({
      http: hub.http,
      url: hub.urlOf(repository, 'a b.gguf'),
      file,
      expected: { bytes: bytes.length, sha256 },
      retry,
      random: () => 0.5,
      signal: new AbortController().signal,
      ...options,
    });
  }
  const ranges = () => server.requests.filter(({ host }) => host === 'storage').map(({ headers }) => headers.range);
  async function expectWhole(): Promise<void> {
    expect((await readFile(file)).equals(bytes)).toBe(true);
    expect(await readdir(folder)).toEqual(['a.gguf']);
  }

  it('brings the file, by its progress', async () => {
    const seen: number[] = [];
    expect(await fetchFile({ onProgress: (at) => seen.push(at) })).toBe(sha256);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(bytes.length);
    await expectWhole();
  });

  it('goes on where the connection broke', async () => {
    server.faults.push({ kind: 'hang', after: 100_000 }, { kind: 'hang', after: 50_000 });
    await fetchFile({ onProgress: (at) => [100_000, 150_000].includes(at) && server.breakHanging() });
    await expectWhole();
    expect(ranges()).toEqual([undefined, 'bytes=100000-', 'bytes=150000-']);
  });

  it('goes on in another process, and gives up only after failures in a row', async () => {
    server.faults.push(...Array.from({ length: 3 }, (): Fault => ({ kind: 'status', status: 503 })));
    await expect(fetchFile()).rejects.toThrow(
      /answered 503, and trying again did not help: 0 of \d+ bytes are there\. The same command goes on/,
    );
    server.faults.push({ kind: 'drop', after: 200_000 }, ...Array.from({ length: 2 }, (): Fault => ({ kind: 'drop', after: 0 })));
    await expect(fetchFile()).rejects.toThrow(/did not help/);
    expect((await readdir(folder)).toSorted()).toEqual(['a.gguf.part', 'a.gguf.part.json']);
    const before = ranges().length;
    await fetchFile();
    expect(
      ranges()
        .slice(before)
        .map((range) => range?.startsWith('bytes=')),
    ).toEqual([true]);
    await expectWhole();
  });

  it.each<[string, Fault[]]>([
    ['a server that ignores ranges', [{ kind: 'drop', after: 100_000 }, { kind: 'ignore-range' }]],
    ['another range than was asked for', [{ kind: 'drop', after: 100_000 }, { kind: 'wrong-range' }]],
    [
      'a busy server',
      [
        { kind: 'status', status: 429, headers: { 'retry-after': '0' } },
        { kind: 'status', status: 500 },
      ],
    ],
    ['an address that has run out', [{ kind: 'status', status: 403 }]],
    [
      'a rest that is not there',
      [
        { kind: 'drop', after: 100_000 },
        { kind: 'status', status: 416 },
      ],
    ],
  ])('survives %s', async (_, faults) => {
    server.faults.push(...faults);
    await fetchFile();
    await expectWhole();
  });

  it('survives a server that falls silent', async () => {
    server.faults.push({ kind: 'hang', after: 100_000 });
    const reasons: string[] = [];
    await fetchFile({ onRetry: (reason) => reasons.push(reason) }, {}, 200);
    expect(reasons).toEqual([expect.stringMatching(/nothing came from 127\.0\.0\.1:\d+ for 0\.2 s/)]);
    await expectWhole();
  });

  it('begins anew when the file is another one by now', async () => {
    server.faults.push({ kind: 'drop', after: 100_000 }, ...Array.from({ length: 3 }, (): Fault => ({ kind: 'status', status: 500 })));
    await expect(fetchFile()).rejects.toThrow(/did not help/);
    const other = Buffer.concat([Buffer.from('GGUF'), randomBytes(bytes.length - 4)]);
    server.put('a b.gguf', other);
    const expected = { bytes: other.length, sha256: createHash('sha256').update(other).digest('hex') };
    await fetchFile({ expected });
    expect((await readFile(file)).equals(other)).toBe(true);
  });

  it('that is damaged is refused and deleted', async () => {
    server.faults.push({ kind: 'damage' });
    await expect(fetchFile()).rejects.toThrow(/is damaged: its SHA-256 is .*pull it again/);
    expect(await readdir(folder)).toEqual([]);
  });

  it('that goes on with a damaged part is refused and deleted', async () => {
    server.faults.push({ kind: 'drop', after: 100_000 }, ...Array.from({ length: 3 }, (): Fault => ({ kind: 'status', status: 500 })));
    await expect(fetchFile()).rejects.toThrow(/did not help/);
    await writeFile(`${file}.part`, randomBytes(50_000));
    await expect(fetchFile()).rejects.toThrow(/is damaged/);
    expect(await readdir(folder)).toEqual([]);
  });

  it.each<[Fault, RegExp]>([
    [{ kind: 'wrong-length', by: 5 }, /has \d+ bytes, but \d+ are served/],
    [{ kind: 'endless' }, /sends more than the \d+ bytes/],
  ])('of another length is refused: %j', async (fault, message) => {
    server.faults.push(fault);
    await expect(fetchFile()).rejects.toThrow(message);
    expect(await readdir(folder)).not.toContain('a.gguf');
  });

  it('tells its failures without the signature of an address', async () => {
    server.faults.push(...Array.from({ length: 3 }, (): Fault => ({ kind: 'status', status: 403 })));
    const error = await fetchFile().catch((thrown: Error) => thrown);
    expect(String(error)).not.toContain('secret');
  });

  it('stops with the reason of the signal, while bytes come and while it waits', async () => {
    for (const fault of [
      { kind: 'hang', after: 1000 },
      { kind: 'status', status: 503 },
    ] as const) {
      server.faults.push(fault);
      const controller = new AbortController();
      const reason = new Error('enough');
      const stop = () => controller.abort(reason);
      await expect(
        fetchFile({
          signal: controller.signal,
          onProgress: stop,
          onRetry: stop,
          retry: { ...retry, firstDelayMs: 60_000, delayMaxMs: 60_000 },
        }),
      ).rejects.toBe(reason);
    }
  });

  it('sends the token to the hub and to nobody else', async () => {
    server.token = 'hf_secret';
    await fetchFile({}, { HF_TOKEN: 'hf_secret' });
    expect(server.requests.map(({ host, headers }) => [host, headers.authorization])).toEqual([
      ['hub', 'Bearer hf_secret'],
      ['storage', undefined],
    ]);
  });

  it('sends no token to ModelScope', async () => {
    const hub = modelScope({ MODELSCOPE_ENDPOINT: server.url, HF_TOKEN: 'hf_secret' }, 5000);
    const [entry] = await hub.files(repository, new AbortController().signal);
    expect(entry).toEqual({ path: 'a b.gguf', bytes: bytes.length, sha256 });
    await fetchFile({ http: hub.http, url: hub.urlOf(repository, 'a b.gguf') });
    expect(server.requests.some(({ headers }) => headers.authorization !== undefined)).toBe(false);
    await expectWhole();
  });
});

describe('the wait between two tries', () => {
  it('grows, is spread, heeds the server, and has a bound', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.option(fc.nat(1e9), { nil: undefined }),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        (failure, retryAfterMs, random) => {
          const policy = { triesMax: 6, failuresMax: 100, firstDelayMs: 500, delayMaxMs: 30_000 };
          const delay = retryDelay(policy, failure, retryAfterMs, () => random);
          expect(delay).toBeLessThanOrEqual(30_000);
          expect(delay).toBeGreaterThanOrEqual(Math.min(30_000, retryAfterMs ?? 0, 30_000));
          expect(delay).toBeGreaterThanOrEqual(Math.min(30_000, 500 * 2 ** (failure - 1)) / 2);
        },
      ),
    );
  });
});
