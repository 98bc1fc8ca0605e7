import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { messageOf, UserError } from '../failure.ts';
import { formatCount, formatNumber } from '../replay/report/text.ts';
import { LineFile } from './line-file.ts';
import { createProxy } from './proxy.ts';
import { Recorder } from './recorder.ts';

export interface RecordOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly to: URL;
  readonly out: string;
  readonly contents?: true;
}

/** Lines that wait for the disk. */
const waitingBytesMax = 64 * 1024 * 1024;

/** Records until a signal. Rejects with what kept it from beginning. */
export async function record({ listen, to, out, contents = undefined }: RecordOptions): Promise<void> {
  if (isItself(to, listen))
    throw new UserError(
      `--to ${to.origin} is where this command listens itself: every request would come back to it. Choose another --listen.`,
    );
  const say = (text: string) => process.stderr.write(`${text}\n`);
  const file = await LineFile.open(out, {
    waitingBytesMax,
    onTrouble: (trouble) =>
      say(trouble === undefined ? `${out} is written again` : `${out} cannot be written: ${trouble}; requests go on, but are not recorded`),
  });
  const recorder = new Recorder({ file, keepsContents: contents === true, now: () => performance.now() });
  const proxy = createProxy(to, (message) => recorder.witness(message));
  try {
    proxy.server.listen(listen);
    await once(proxy.server, 'listening');
  } catch (error) {
    await file.discard();
    throw explainListenError(error, listen);
  }
  const { port } = proxy.server.address() as AddressInfo;
  process.stdout.write(`listening on http://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${port}\n`);
  say(`recording what goes to ${to.origin} in ${out}, ${contents ? 'with contents' : 'without contents'}; Ctrl-C ends`);
  await proxy.close(await untilSignal(say));
  await recorder.end();
  await file.close();
  say(describeCounts(recorder, file, out));
}

/** Resolves with the first signal; what it resolves with is aborted by the second. */
async function untilSignal(say: (text: string) => void): Promise<AbortSignal> {
  const hurry = new AbortController();
  const first = Promise.withResolvers<AbortSignal>();
  let count = 0;
  const handle = () => {
    count += 1;
    if (count === 1) {
      say('stopping: running answers are waited for; a second Ctrl-C cuts them');
      first.resolve(hurry.signal);
    } else hurry.abort();
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return first.promise;
}

function describeCounts(recorder: Recorder, file: LineFile, out: string): string {
  const { unfinished, unrecorded, others } = recorder.counts;
  const unrecordedCount = Object.values(unrecorded).reduce((sum, count) => sum + count, 0);
  const reasons = Object.entries(unrecorded)
    .filter(([, count]) => count > 0)
    .map(([reason, count]) => `${formatNumber(count)} ${reason}`);
  return [
    `recorded ${formatCount(file.writtenCount, 'request')} in ${out}`,
    ...(unfinished > 0 ? [`${formatNumber(unfinished)} of them without their ends`] : []),
    ...(file.lostCount > 0 ? [`${formatNumber(file.lostCount)} lost, because the file could not be written`] : []),
    ...(unrecordedCount > 0 ? [`${formatNumber(unrecordedCount)} passed on without a record (${reasons.join(', ')})`] : []),
    ...(others > 0 ? [`${formatNumber(others)} of other kinds passed on`] : []),
  ].join('; ');
}

const loopback: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1', '0.0.0.0', '::']);

function isItself({ hostname, port, protocol }: URL, listen: RecordOptions['listen']): boolean {
  if (Number(port || (protocol === 'https:' ? 443 : 80)) !== listen.port) return false;
  const host = hostname.replace(/^\[|\]$/g, '');
  return host === listen.host || (loopback.has(host) && loopback.has(listen.host));
}

function explainListenError(error: unknown, { host, port }: RecordOptions['listen']): UserError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE')
    return new UserError(
      `Port ${port} on ${host} is in use. Choose another: --listen ${host}:${port + 1}, or port 0 for any that is free.`,
    );
  return new UserError(`${host}:${port} cannot be listened on: ${messageOf(error)}`);
}
