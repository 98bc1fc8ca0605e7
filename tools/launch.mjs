// Runs one of this repository's programs on the Node that the repository pins, after installing what is missing.
// Runs on any Node from 18 on, without dependencies.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = realpathSync(dirname(dirname(fileURLToPath(import.meta.url))));

/**
 * Runs `entry` as if it were the program that was started. The process then ends as the program does.
 * @param {string} entry path of the program from the repository's top folder
 * @param {readonly string[]} args
 * @param {{ dev: boolean }} need whether the program needs development dependencies
 */
export async function launch(entry, args, need) {
  const program = join(root, entry);
  try {
    await ensureInstalled(root, need);
    const runtime = chooseRuntime();
    if (runtime !== process.execPath) {
      await runAsChild(runtime, program, args);
      return;
    }
  } catch (error) {
    process.stderr.write(`open-autoglm: ${error.message}\n`);
    process.exitCode = 1;
    return;
  }
  process.argv = [process.execPath, program, ...args];
  await import(pathToFileURL(program).href);
}

/** The pinned Node where its package exists for this platform, else the running one if it is new enough. */
function chooseRuntime() {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  const binary = process.platform === 'win32' ? 'node.exe' : 'node';
  const pinned = join(root, 'node_modules', `node-${platform}-${process.arch}`, 'bin', binary);
  if (existsSync(pinned)) return pinned;

  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 19)) return process.execPath;
  throw new Error(
    `Node ${process.versions.node} is too old and no pinned Node exists for ${process.platform}-${process.arch}.\n` +
      'Install Node 22.19 or newer, then run the command again.',
  );
}

async function runAsChild(runtime, program, args) {
  // Nothing is said over the channel: it closes with this process, however that ends, and autoglm ends with it.
  const child = spawn(runtime, [program, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, AUTOGLM_LAUNCHED: '1' },
  });
  // A terminal sends Ctrl-C to the child as well: passing it on would make it two.
  const hasTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const forward = (signal) => (signal === 'SIGINT' && hasTerminal) || child.kill(signal);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, forward);
  const { code, signal } = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  process.exitCode = signal ? 128 + constants.signals[signal] : code;
  for (const name of signals) process.off(name, forward);
}
