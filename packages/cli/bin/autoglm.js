#!/usr/bin/env node
// Starts the program on a Node that can run it. Plain JavaScript without dependencies: older versions of Node get here too.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';

const FLOOR = [22, 19];

if (isNewEnough(process.versions.node)) {
  hideExperimentalWarnings();
  endWithLauncher();
  // Halves the time to load on every start but the first.
  if (nodeModule.enableCompileCache) nodeModule.enableCompileCache();
  const source = new URL('../src/main.ts', import.meta.url);
  const { main } = await import(existsSync(source) ? source.href : new URL('../src/main.js', import.meta.url).href);
  await main(process.argv.slice(2));
} else {
  const runtime = findPinnedRuntime();
  if (runtime) await runOn(runtime);
  else refuse();
}

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > FLOOR[0] || (major === FLOOR[0] && minor >= FLOOR[1]);
}

/** Node's notes on features that may still change concern who writes this program, not who runs it. */
function hideExperimentalWarnings() {
  const listeners = process.listeners('warning');
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name === 'ExperimentalWarning') return;
    for (const listener of listeners) listener.call(process, warning);
  });
}

/** A launcher that was killed passes no signal on: the program would go on alone, and hold its port. */
function endWithLauncher() {
  if (process.env.AUTOGLM_LAUNCHED !== '1') return;
  delete process.env.AUTOGLM_LAUNCHED;
  if (!process.channel) return;
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.channel.unref();
}

/** The Node that npm installed as a package for this platform, wherever in the node_modules folders it stands. */
function findPinnedRuntime() {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  try {
    const manifest = nodeModule.createRequire(import.meta.url).resolve(`node-${platform}-${process.arch}/package.json`);
    const runtime = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    return existsSync(runtime) ? runtime : undefined;
  } catch {
    return undefined;
  }
}

/** Runs this program again on the runtime, and ends as it ends. */
async function runOn(runtime) {
  // Nothing is said over the channel: it closes with this process, however that ends.
  const child = spawn(runtime, process.argv.slice(1), { stdio: ['inherit', 'inherit', 'inherit', 'ipc'], env: { ...process.env, AUTOGLM_LAUNCHED: '1' } });
  // A terminal sends Ctrl-C to the child as well: passing it on would make it two.
  const hasTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  process.on('SIGINT', () => hasTerminal || child.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  const outcome = await new Promise((resolve) => {
    child.once('error', (error) => resolve({ error }));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  if (outcome.error) process.stderr.write(`autoglm: ${runtime} cannot be started: ${outcome.error.message}\n`);
  process.exit(outcome.error ? 1 : outcome.signal ? 128 + constants.signals[outcome.signal] : outcome.code);
}

function refuse() {
  process.stderr.write(
    `autoglm: Node ${process.versions.node} is too old: install Node ${FLOOR.join('.')} or newer.\n` +
      `Or add a Node of its own to this project: npm install node-${process.platform}-${process.arch}@24\n`,
  );
  process.exitCode = 1;
}
