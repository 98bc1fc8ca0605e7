import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { LineFile } from '../../src/record/line-file.ts';
import { createProxy } from '../../src/record/proxy.ts';
import { Recorder, type RecorderCounts } from '../../src/record/recorder.ts';
import type { RecordedRequest } from '../../src/replay/formats/recorded.ts';

export interface TestRecording extends AsyncDisposable {
  readonly url: string;
  readonly file: string;
  readonly troubles: (string | undefined)[];
  /** Ends the recording and returns what it wrote. */
  end(): Promise<{ readonly lines: RecordedRequest[]; readonly text: string; readonly counts: RecorderCounts; readonly lost: number }>;
}

export interface RecordingOptions {
  readonly contents?: boolean;
  readonly file?: string;
  readonly waitingBytesMax?: number;
}

/** Everything that `autoglm record` is made of, but for its process. */
export async function startRecording(
  target: string,
  { contents = false, file: given, waitingBytesMax = 1e6 }: RecordingOptions = {},
): Promise<TestRecording> {
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-record-'));
  const file = given ?? path.join(folder, 'trace.jsonl');
  const troubles: (string | undefined)[] = [];
  const lines = await LineFile.open(file, { waitingBytesMax, onTrouble: (trouble) => troubles.push(trouble) });
  const recorder = new Recorder({ file: lines, keepsContents: contents, now: () => performance.now() });
  const proxy = createProxy(new URL(target), (message) => recorder.witness(message));
  await listen(proxy.server);
  let ended: Promise<void> | undefined;
  const end = () =>
    (ended ??= proxy
      .close(AbortSignal.timeout(5000))
      .then(() => recorder.end())
      .then(() => lines.close()));
  return {
    url: urlOf(proxy.server),
    file,
    troubles,
    async end() {
      await end();
      const text = given === undefined ? await readFile(file, 'utf8') : '';
      return {
        text,
        lines: text
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line) as RecordedRequest),
        counts: recorder.counts,
        lost: lines.lostCount,
      };
    },
    async [Symbol.asyncDispose]() {
      await end();
      await rm(folder, { recursive: true });
    },
  };
}

export interface TestUpstream extends AsyncDisposable {
  readonly url: string;
  readonly server: Server;
}

export async function startUpstream(listener: RequestListener): Promise<TestUpstream> {
  const server = createServer(listener);
  await listen(server);
  return {
    url: urlOf(server),
    server,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export function post(url: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: text,
    ...init,
    headers: { 'content-type': 'application/json', ...(init.headers as Record<string, string> | undefined) },
  });
}

async function listen(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
