import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
let counter = 0;

/** Root on Linux, as in the tests' container. */
export function mayMakeNamespaces(): boolean {
  const probe = `agp${process.pid}`;
  try {
    ip('netns', 'add', probe);
    ip('netns', 'del', probe);
    return true;
  } catch {
    return false;
  }
}

/** Two network namespaces with one wire between them, and with nothing else: 10.77.0.1 and 10.77.0.2. */
export class Wire implements Disposable {
  readonly near = `agn${process.pid}x${counter}`;
  readonly far = `agf${process.pid}x${counter}`;
  readonly nearAddress = '10.77.0.1';
  readonly farAddress = '10.77.0.2';
  readonly #children: ChildProcess[] = [];

  constructor() {
    counter += 1;
    try {
      for (const name of [this.near, this.far]) ip('netns', 'add', name);
      ip('-n', this.near, 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'wire', 'netns', this.far);
      for (const [name, address] of [
        [this.near, this.nearAddress],
        [this.far, this.farAddress],
      ] as const) {
        ip('-n', name, 'link', 'set', 'lo', 'up');
        ip('-n', name, 'addr', 'add', `${address}/24`, 'dev', 'wire');
        ip('-n', name, 'link', 'set', 'wire', 'up');
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  cut(): void {
    ip('-n', this.far, 'link', 'set', 'wire', 'down');
  }

  mend(): void {
    ip('-n', this.far, 'link', 'set', 'wire', 'up');
  }

  /** A Node program in one of the namespaces; resolves with the first thing that it says. */
  async start(namespace: string, script: string, argument: string): Promise<{ readonly child: ChildProcess; readonly said: unknown }> {
    const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, script, argument], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#children.push(child);
    const [said] = (await once(child, 'message')) as [unknown];
    return { child, said };
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const name of [this.near, this.far]) {
      try {
        ip('netns', 'del', name);
      } catch {
        // It was not made.
      }
    }
  }
}
