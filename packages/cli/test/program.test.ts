import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { run, runShell, start } from './support.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };

describe('autoglm', () => {
  it('tells its version', async () => {
    expect(await run(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('teaches: examples and environment', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('autoglm serve');
    expect(stdout).toContain('autoglm chat');
    for (const name of ['PORT', 'HOST', 'AUTOGLM_CONFIG', 'AUTOGLM_THREADS', 'AUTOGLM_HOME', 'AUTOGLM_URL', 'AUTOGLM_API_KEY'])
      expect(stdout).toContain(name);
  });

  it.each([
    ['serve', 'curl'],
    ['chat', 'autoglm chat --url'],
    ['replay', '--compare http://a:8000 http://b:8000'],
  ])('teaches %s', async (command, example) => {
    const { code, stdout } = await run([command, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(example);
  });

  it('loads for a command what that command needs', async () => {
    const told =
      'data:text/javascript,import { registerHooks } from "node:module"; registerHooks({ resolve(name, context, next) { process.stderr.write(`${name}\\n`); return next(name, context); } })';
    const { stderr } = await run(['serve', '--help'], { nodeOptions: ['--import', told] });
    expect(stderr).toContain('commander');
    for (const name of ['string-width', 'eventsource-parser', 'undici', 'koffi', '@open-autoglm/gateway'])
      expect(stderr).not.toContain(name);
  });

  it.runIf(existsSync('/dev/full'))('tells that its output cannot be written', async () => {
    expect(await runShell('autoglm models >/dev/full')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'autoglm: The output cannot be written: ENOSPC: no space left on device, write\n',
    });
  });

  it('shows the help when nothing is asked', async () => {
    const { code, stderr } = await run([]);
    expect(code).toBe(1);
    expect(stderr).toContain('Examples:');
  });

  it.each([
    [['srve'], 'Did you mean serve?'],
    [['serve', '--prt', '1'], 'Did you mean --port?'],
    [['serve', '--port', 'eighty'], 'whole number'],
    [['chat', '--temperature', 'warm', 'x'], 'must be a number'],
    [['serve', '--config', ''], 'It must not be empty'],
    [['replay', 'trace.csv', '--api-key-env', ' '], 'It must not be empty'],
  ])('refuses %j, and says what is wrong', async (args, message) => {
    const { code, stdout, stderr } = await run(args);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

describe('the launcher', () => {
  const pretendOld = [
    '--import',
    "data:text/javascript,Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.11.0' } })",
  ];

  it('goes on with the Node that npm installed when the running one is too old', async () => {
    expect(await run(['--version'], { nodeOptions: pretendOld })).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    expect((await run(['srve'], { nodeOptions: pretendOld })).code).toBe(1);
  });

  it('takes the program along when it is killed', async () => {
    const server = start(['serve', '--port', '0', '--engine', 'http://127.0.0.1:1/v1', '--engine-model', 'm'], { nodeOptions: pretendOld });
    await server.saidOn('stdout', /^listening on /);
    server.child.kill('SIGKILL');
    // Its output is closed when the program has ended, too.
    expect(await server.ended).toBe('SIGKILL');
    expect(server.stderr).toContain('stopping: ');
  });

  it('says what to do when there is none', async () => {
    const elsewhere = [...pretendOld, '--import', "data:text/javascript,Object.defineProperty(process, 'arch', { value: 'pdp11' })"];
    const { code, stderr } = await run(['--version'], { nodeOptions: elsewhere });
    expect(code).toBe(1);
    expect(stderr).toContain('Node 20.11.0 is too old: install Node 22.19 or newer');
  });
});

describe('autoglm serve, when it cannot', () => {
  it('names a port that is in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void taken.close());
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as AddressInfo;
    const { code, stdout, stderr } = await run(['serve'], { env: { PORT: String(port) } });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      `autoglm: Port ${port} on 127.0.0.1 is in use. Stop what uses it, or choose another: --port ${port + 1}, or --port 0 for any that is free.\n`,
    );
  });

  it('names an address that this computer does not have', async () => {
    const { code, stderr } = await run(['serve', '--port', '0', '--host', '192.0.2.1']);
    expect(code).toBe(1);
    expect(stderr).toBe('autoglm: 192.0.2.1 is not an address of this computer. Use --host 127.0.0.1, or --host 0.0.0.0 for every one.\n');
  });

  it.each([
    [['--port', '99999'], 'server.port'],
    [['--threads', '0'], 'model_config.threads'],
    [['--context-length', '1'], 'model_config.context_length'],
    [['--max-batch-size', '0'], 'model_config.max_batch_size'],
    [['--max-queue', '0'], 'model_config.max_queue'],
    [['--drain-timeout-ms', '0'], 'server.drain_timeout_ms'],
  ])('names the key of %j, out of its range', async (args, key) => {
    const { code, stdout, stderr } = await run(['serve', ...args]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^autoglm: ${key.replace('.', '\\.')} .+\\n$`));
  });

  it('names the line of a configuration file', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = path.join(folder, 'autoglm.yaml');
    await writeFile(file, 'server:\n  prot: 1\n');
    for (const [args, env] of [
      [['--config', file], {}],
      [[], { AUTOGLM_CONFIG: file }],
    ] as const) {
      const { code, stderr } = await run(['serve', ...args], { env });
      expect(code).toBe(1);
      expect(stderr).toMatch(/^autoglm: .*autoglm\.yaml:2: .*server\.prot.*\n$/);
    }
    expect((await run(['serve', '--config', path.join(folder, 'absent.yaml')])).stderr).toMatch(/^autoglm: .*absent\.yaml.*\n$/);
  });
});
