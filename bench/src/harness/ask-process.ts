import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Sends a child process a message and returns its answer. Rejects when it ends instead of answering. */
export async function askProcess<A>(child: ChildProcess, message: object): Promise<A> {
  const settled = new AbortController();
  const { signal } = settled;
  try {
    child.send(message);
    return await Promise.race([
      once(child, 'message', { signal }).then(([answer]) => answer as A),
      once(child, 'exit', { signal }).then(([code, killer]): never => {
        throw new Error(`${child.spawnargs.at(-1)} ended with ${killer ?? code} instead of answering`);
      }),
    ]);
  } finally {
    settled.abort();
  }
}
