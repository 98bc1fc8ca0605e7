import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../bin/autoglm.js', import.meta.url));

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Given to standard input, which then ends. */
  readonly input?: string;
  /** Options of Node itself. */
  readonly nodeOptions?: readonly string[];
}

export interface RunningProgram {
  readonly child: ChildProcess;
  readonly stdout: string;
  readonly stderr: string;
  /** Resolves when the stream has said this, with the match; rejects when the program ends without. */
  saidOn(stream: 'stdout' | 'stderr', pattern: RegExp): Promise<RegExpMatchArray>;
  /** The exit code, or the signal that ended the program. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

/** Starts `autoglm` as a process of its own, with an environment that holds none of its variables but those given. */
export function start(args: readonly string[], { env = {}, input = '', nodeOptions = [] }: RunOptions = {}): RunningProgram {
  const { PATH, HOME, AUTOGLM_HOME } = process.env;
  const child = spawn(process.execPath, [...nodeOptions, program, ...args], { env: { PATH, HOME, AUTOGLM_HOME, ...env }, stdio: 'pipe' });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const ended = once(child, 'close').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals);
  return {
    child,
    ended,
    get stdout() {
      return output.stdout;
    },
    get stderr() {
      return output.stderr;
    },
    async saidOn(name, pattern) {
      for (;;) {
        const match = pattern.exec(output[name]);
        if (match) return match;
        const outcome = await Promise.race([once(child[name], 'data').then(() => undefined), ended]);
        if (outcome !== undefined && !pattern.test(output[name]))
          throw new Error(`autoglm ended (${outcome}) without ${pattern} on ${name}: ${output.stderr}`);
      }
    },
  };
}

/** Runs a line of the shell to its end, in which `autoglm` is the program. */
export async function runShell(line: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = spawn('sh', ['-c', `autoglm() { "$NODE" "$PROGRAM" "$@"; }; ${line}`], {
    env: { ...process.env, NODE: process.execPath, PROGRAM: program },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
  const [code] = (await once(child, 'close')) as [number];
  return { code, ...output };
}

/** Runs `autoglm` to its end. */
export async function run(
  args: readonly string[],
  options?: RunOptions,
): Promise<{ code: number | NodeJS.Signals; stdout: string; stderr: string }> {
  const program = start(args, options);
  const code = await program.ended;
  return { code, stdout: program.stdout, stderr: program.stderr };
}
