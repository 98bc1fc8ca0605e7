import { existsSync } from 'node:fs';
import { readdir, readFile, symlink } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { run, runShell, start } from '../support.ts';
import { startScriptedServer, streamHead, textChunk } from './scripted-server.ts';
import { azureTrace, withFile } from './trace-file.ts';

describe('autoglm replay', () => {
  it('prints a table and, as the last line, one JSON object; writes outcomes', async () => {
    await using server = await startScriptedServer();
    await using trace = await withFile(`${azureTrace([0, 0.05, 0.1, 0.15])}\n{broken\n`);
    const outcomes = `${trace.path}.outcomes`;
    const { code, stdout, stderr } = await run([
      'replay',
      trace.path,
      '--url',
      `${server.url}/v1/`,
      '--rate',
      '2x',
      '--duration',
      '60ms',
      '--slo',
      'ttft=60000,tpot=60000',
      '--json',
      '--outcomes',
      outcomes,
    ]);
    expect({ code, stderr: stderr.split('\n')[0] }).toEqual({
      code: 0,
      stderr: `replaying 3 requests in 50 ms to ${server.url}; Ctrl-C reports what there is by then`,
    });
    expect(stdout).toMatch(/TTFT +ms/);
    const summary = JSON.parse(stdout.trimEnd().split('\n').at(-1) as string) as Record<string, unknown>;
    expect(summary).toMatchObject({
      requests: 3,
      slo_attainment: 1,
      ttft_ms: { count: 3 },
      tpot_ms: { count: 3 },
      trace: { requestCount: 3, brokenLineCount: 0 },
      settings: { speed: 2, durationMs: 60 },
    });
    expect(summary['goodput_rps']).toBeGreaterThan(0);
    expect(
      (await readFile(outcomes, 'utf8'))
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { outcome: string }).outcome),
    ).toEqual(['answered', 'answered', 'answered']);
  });

  it.runIf(existsSync('/dev/full'))('writes a page; where the disk is full, the table is still there', async () => {
    await using server = await startScriptedServer();
    await using trace = await withFile(azureTrace([0, 0.01]));
    const page = `${trace.path}.html`;
    expect((await run(['replay', trace.path, '--url', server.url, '--html', page])).code).toBe(0);
    expect(await readFile(page, 'utf8')).toMatch(/^<!doctype html>.*TTFT over time/s);
    const { code, stdout, stderr } = await run(['replay', trace.path, '--url', server.url, '--html', '/dev/full']);
    expect(code).toBe(0);
    expect(stderr).toContain('/dev/full cannot be written: ENOSPC');
    expect(stdout).toMatch(/TTFT +ms/);
  });

  it.each(['--html', '--outcomes'])('sends nothing where %s cannot be written, and leaves what is there as it is', async (option) => {
    await using server = await startScriptedServer();
    await using trace = await withFile(azureTrace([0, 0.01]));
    const folder = path.dirname(trace.path);
    const before = await readdir(folder);
    for (const wrong of [path.join(folder, 'absent', 'file'), folder]) {
      const { code, stdout, stderr } = await run(['replay', trace.path, '--url', server.url, option, wrong]);
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toContain(`${wrong} cannot be written`);
    }
    expect((await run(['replay', `${trace.path}.absent`, '--url', server.url, option, path.join(folder, 'file')])).code).toBe(1);
    expect(server.received).toEqual([]);
    expect(await readdir(folder)).toEqual(before);
  });

  it('refuses a pipe, which can be read only once', async () => {
    await using trace = await withFile(azureTrace([0, 0.01]));
    const { code, stdout, stderr } = await runShell(`cat '${trace.path}' | autoglm replay /dev/stdin`);
    expect({ code, stdout, stderr }).toEqual({
      code: 1,
      stdout: '',
      stderr: 'autoglm: /dev/stdin is a pipe, and a replay reads its trace several times: write it into a file first.\n',
    });
  });

  it('compares two configurations', async () => {
    await using server = await startScriptedServer();
    await using trace = await withFile(azureTrace([0, 0.01]));
    const { code, stdout } = await run([
      'replay',
      trace.path,
      '--url',
      server.url,
      '--json',
      '--compare',
      '{"name": "cold", "body": {"temperature": 0}}',
      '{"name": "warm", "body": {"temperature": 1}}',
    ]);
    expect(code).toBe(0);
    const summary = JSON.parse(stdout.trimEnd().split('\n').at(-1) as string) as {
      targets: readonly { target: object }[];
      comparison: readonly unknown[];
    };
    expect(summary.targets.map(({ target }) => target)).toMatchObject([
      { name: 'cold', body: { temperature: 0 } },
      { name: 'warm', body: { temperature: 1 } },
    ]);
    expect(summary.comparison.length).toBeGreaterThan(0);
    expect(server.received.map(({ body }) => body['temperature'])).toEqual([0, 0, 1, 1]);
  });

  it('after Ctrl-C reports what there is', async () => {
    await using server = await startScriptedServer({ behave: (response) => (streamHead(response), response.write(textChunk('a'))) });
    await using trace = await withFile(azureTrace([0, 600]));
    const program = start(['replay', trace.path, '--url', server.url]);
    await server.hasReceived(1);
    program.child.kill('SIGINT');
    expect(await program.ended).toBe(130);
    expect(program.stdout).toContain('interrupted');
  });

  it('exits with 2 when nothing was answered', async () => {
    await using server = await startScriptedServer({ behave: (response) => response.writeHead(429).end() });
    await using trace = await withFile(azureTrace([0]));
    const { code, stdout } = await run(['replay', trace.path, '--url', server.url]);
    expect(code).toBe(2);
    expect(stdout).toContain('HTTP 429');
  });

  it.each(['abc\n', 'schlüssel中'])('refuses the key %j, which no header can hold, and names the variable', async (key) => {
    await using server = await startScriptedServer();
    await using trace = await withFile(azureTrace([0]));
    const { code, stderr } = await run(['replay', trace.path, '--url', server.url, '--api-key-env', 'SOME_KEY'], {
      env: { SOME_KEY: key },
    });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'autoglm: The key in SOME_KEY cannot be sent: it has a line end, another control character, or one beyond Latin-1.\n',
    });
  });

  it.each([
    [['--url', 'nowhere'], 'nowhere is no URL of a server'],
    [['--url', 'http://user:key@127.0.0.1:1'], 'give the key in an environment variable'],
    [['--url', 'http://127.0.0.1:1'], 'No server answers at http://127.0.0.1:1'],
    [['--rate', '0x'], 'It must be a speed such as 2x'],
    [['--rate', 'fast'], 'It must be a speed such as 2x'],
    [['--duration', '-1'], 'It must be a time such as 30s'],
    [['--slo', 'ttfb=1'], '"ttfb=1" is no objective'],
    [['--limit', '0'], 'It must be a number above 0'],
    [['--body', '[]'], 'It must be a JSON object'],
    [['--body', '{"stream": false}'], 'cannot have "stream": every answer is streamed'],
    [['--body', '{"model": "a"}'], 'cannot have "model": name the model with --model'],
    [['--compare', 'http://127.0.0.1:1', '{"url": "http://127.0.0.1:2", "body": {"messages": []}}'], 'cannot have "messages"'],
    [['--block', '1s'], '--block is for --compare'],
    [['--outcomes', 'TRACE'], 'is the trace itself: choose another name'],
    [['--html', 'TRACE'], 'is the trace itself: choose another name'],
    [['--html', 'LINK'], 'is the trace itself: choose another name'],
    [['--html', 'NEW', '--outcomes', 'NEW'], '--html and --outcomes must be two files'],
    [['--format', 'har'], 'Allowed choices are auto, azure, mooncake, burstgpt, autoglm'],
    [['--compare', 'http://127.0.0.1:1'], '--compare takes two servers, not 1'],
    [['--compare', '{"url": "http://127.0.0.1:1", "speed": 2}', 'http://127.0.0.1:2'], 'has no "speed"'],
    [['--compare', '{"name": "a"}', '{"name": "b"}'], 'has no url'],
  ])('refuses %j', async (args, message) => {
    await using trace = await withFile(azureTrace([0]));
    const names: Record<string, string> = { TRACE: trace.path, LINK: `${trace.path}.link`, NEW: `${trace.path}.new` };
    await symlink(trace.path, `${trace.path}.link`);
    const { code, stdout, stderr } = await run(['replay', trace.path, ...args.map((arg) => names[arg] ?? arg)]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});
