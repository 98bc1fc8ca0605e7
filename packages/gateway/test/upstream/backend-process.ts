import { fork } from 'node:child_process';
import { once } from 'node:events';

export interface BackendProcess extends AsyncDisposable {
  readonly url: string;
  kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
}

/** Starts `fake-backend-process.ts`. */
export async function startBackendProcess(): Promise<BackendProcess> {
  const child = fork(new URL('./fake-backend-process.ts', import.meta.url), { stdio: 'inherit' });
  const [url] = (await once(child, 'message')) as [string];
  return {
    url,
    kill: (signal) => void child.kill(signal),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
