import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { run, start } from '../support.ts';
import { post, startUpstream } from './support.ts';

const question = { model: 'm', stream: true, messages: [{ role: 'user', content: 'hello' }] };

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-record-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

async function startRecord(to: string, out: string) {
  const program = start(['record', '--listen', '0', '--to', to, '--out', out]);
  onTestFinished(() => void program.child.kill('SIGKILL'));
  const [, url] = await program.saidOn('stdout', /^listening on (http:\/\/127\.0\.0\.1:\d+)\n/);
  return { program, url: url as string };
}

describe('autoglm record', () => {
  it('records until Ctrl-C, lets running answers end, and tells what it wrote', async () => {
    const gate = Promise.withResolvers<void>();
    await using upstream = await startUpstream(
      (message, response) =>
        void message.resume().on('end', async () => {
          response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
          await gate.promise;
          response.end('data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n');
        }),
    );
    const out = path.join(await makeFolder(), 'trace.jsonl');
    const { program, url } = await startRecord(upstream.url, out);
    const running = await post(url, question);
    program.child.kill('SIGINT');
    await program.saidOn('stderr', /^stopping/m);
    gate.resolve();
    expect(await running.text()).toContain('[DONE]');
    expect(await program.ended).toBe(0);
    expect(program.stderr).toContain(`recorded 1 request in ${out}`);
    const text = await readFile(out, 'utf8');
    expect(text).toMatch(/^\{"autoglm_trace":1,.*"output_tokens":1,.*\}\n$/);
  });

  it('cuts running answers at a second Ctrl-C, and the file ends whole', async () => {
    await using upstream = await startUpstream(
      (message, response) =>
        void message.resume().on('end', () => response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()),
    );
    const out = path.join(await makeFolder(), 'trace.jsonl');
    const { program, url } = await startRecord(upstream.url, out);
    const running = await post(url, question);
    program.child.kill('SIGINT');
    await program.saidOn('stderr', /^stopping/m);
    program.child.kill('SIGINT');
    await expect(running.text()).rejects.toThrow();
    expect(await program.ended).toBe(0);
    expect(await readFile(out, 'utf8')).toMatch(/^\{"autoglm_trace":1,.*"cut":true.*\}\n$/);
  });

  it('refuses what cannot be, and says why', async () => {
    const folder = await makeFolder();
    const taken = path.join(folder, 'taken.jsonl');
    await writeFile(taken, '');
    const cases = [
      [['--to', 'ftp://x', '--out', 'x'], 'http://127.0.0.1:8000'],
      [['--to', 'http://u:p@x', '--out', 'x'], 'no password'],
      [['--to', 'http://127.0.0.1:1', '--out', 'x', '--listen', 'here'], 'address and a port'],
      [['--to', 'http://127.0.0.1:1'], '--out'],
      [['--to', 'http://127.0.0.1:1', '--out', taken], 'There is a file'],
      [['--to', 'http://127.0.0.1:1', '--out', path.join(folder, 'a', 'b')], 'cannot be written'],
      [['--to', 'http://127.0.0.1:1', '--out', path.join(folder, 'c'), '--listen', '192.0.2.1:0'], 'cannot be listened on'],
      [['--to', 'http://localhost:8081', '--out', path.join(folder, 'c')], 'where this command listens itself'],
    ] as const;
    for (const [args, message] of cases) {
      const { code, stderr } = await run(['record', ...args]);
      expect(code).toBe(1);
      expect(stderr).toContain(message);
      expect(stderr).not.toMatch(/^\s+at /m);
    }
    // The same name can be given with the next try.
    expect(await readdir(folder)).toEqual(['taken.jsonl']);
  });
});
