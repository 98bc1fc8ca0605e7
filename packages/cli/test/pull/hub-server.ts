import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What goes wrong with one request for a file's bytes. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** The connection breaks after so many bytes. */
  | { readonly kind: 'drop'; readonly after: number }
  | { readonly kind: 'ignore-range' }
  /** One bit is another. */
  | { readonly kind: 'damage' }
  | { readonly kind: 'wrong-length'; readonly by: number }
  | { readonly kind: 'wrong-range' }
  /** More bytes than it should be, without a length. */
  | { readonly kind: 'endless' }
  /** Nothing more after so many bytes, on an open connection. */
  | { readonly kind: 'hang'; readonly after: number };

export interface SeenRequest {
  readonly host: 'hub' | 'storage';
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
}

export interface HubServer {
  /** For `HF_ENDPOINT` and `MODELSCOPE_ENDPOINT`. */
  readonly url: string;
  readonly requests: SeenRequest[];
  /** For the next requests for bytes, one each; then all is well. */
  readonly faults: Fault[];
  /** For the next requests to the hub itself. */
  readonly hubFaults: Fault[];
  /** Token that the hub wants, if any. */
  token: string | undefined;
  put(file: string, bytes: Buffer): void;
  /** Ends the connections that hang. */
  breakHanging(): void;
  close(): Promise<void>;
}

interface StoredFile {
  readonly bytes: Buffer;
  readonly sha256: string;
}

const repository = 'owner/model-GGUF';

/** A hub on the loopback and, at another origin, the storage that it redirects to, as Hugging Face and ModelScope answer. */
export async function startHub(): Promise<HubServer> {
  const files = new Map<string, StoredFile>();
  const requests: SeenRequest[] = [];
  const faults: Fault[] = [];
  const hubFaults: Fault[] = [];
  const hanging = new Set<ServerResponse>();

  const storage = createServer((request, response) => {
    requests.push({ host: 'storage', url: request.url ?? '', headers: request.headers });
    const file = files.get(decodeURIComponent(new URL(request.url ?? '', 'http://x').pathname.slice(1)));
    if (file) serveBytes(request, response, file, faults.shift(), hanging);
    else response.writeHead(404).end();
  });
  const hub = createServer((request, response) => {
    const url = request.url ?? '';
    requests.push({ host: 'hub', url, headers: request.headers });
    const fault = hubFaults.shift();
    if (fault?.kind === 'status') response.writeHead(fault.status, fault.headers).end('{}');
    else if (server.token !== undefined && request.headers.authorization !== `Bearer ${server.token}`) response.writeHead(401).end('{}');
    else answer(url, response);
  });
  const answer = (url: string, response: ServerResponse) => {
    const resolve = /^\/(?:models\/)?owner\/model-GGUF\/resolve\/(?:main|master)\/(.+)$/.exec(url);
    const file = files.get(decodeURIComponent(resolve?.[1] ?? ''));
    if (file && resolve) {
      response
        .writeHead(302, {
          location: `${storageUrl}/${resolve[1]}?signature=secret`,
          'x-linked-etag': `"${file.sha256}"`,
          'x-linked-size': String(file.bytes.length),
          'x-repo-commit': 'c0ffee',
        })
        .end();
    } else if (url.startsWith(`/api/models/${repository}/tree/main`)) answerTree(url, response);
    else if (url.startsWith(`/api/v1/models/${repository}/repo/files`)) {
      const list = [...files].map(([path, { bytes, sha256 }]) => ({ Type: 'blob', Path: path, Size: bytes.length, Sha256: sha256 }));
      response
        .setHeader('content-type', 'application/json')
        .end(JSON.stringify({ Code: 200, Data: { Files: [{ Type: 'tree', Path: 'folder' }, ...list] } }));
    } else response.writeHead(404).end('{}');
  };
  /** One entry a page, linked as the real API links its pages. */
  const answerTree = (url: string, response: ServerResponse) => {
    const cursor = Number(new URL(url, 'http://x').searchParams.get('cursor') ?? 0);
    const entries = [
      { type: 'directory', path: 'folder', size: 0 },
      ...[...files].map(([path, { bytes, sha256 }]) => ({ type: 'file', path, size: 135, lfs: { oid: sha256, size: bytes.length } })),
      { type: 'file', path: '../../escape.gguf', size: 1 },
    ];
    if (cursor + 1 < entries.length)
      response.setHeader('link', `<${server.url}/api/models/${repository}/tree/main?recursive=true&cursor=${cursor + 1}>; rel="next"`);
    response.setHeader('content-type', 'application/json').end(JSON.stringify(entries.slice(cursor, cursor + 1)));
  };
  const listen = (one: typeof hub) =>
    new Promise<string>((resolve) => one.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(one.address() as AddressInfo).port}`)));
  const [url, storageUrl] = await Promise.all([listen(hub), listen(storage)]);
  const server: HubServer = {
    url,
    requests,
    faults,
    hubFaults,
    token: undefined,
    put: (file, bytes) => void files.set(file, { bytes, sha256: createHash('sha256').update(bytes).digest('hex') }),
    breakHanging() {
      for (const response of hanging) response.destroy();
      hanging.clear();
    },
    async close() {
      for (const one of [hub, storage]) {
        one.closeAllConnections();
        await new Promise((resolve) => one.close(resolve));
      }
    },
  };
  return server;
}

function serveBytes(
  request: IncomingMessage,
  response: ServerResponse,
  { bytes, sha256 }: StoredFile,
  fault: Fault | undefined,
  hanging: Set<ServerResponse>,
): void {
  if (fault?.kind === 'status') return void response.writeHead(fault.status, fault.headers).end();
  const etag = `"${sha256.slice(0, 16)}"`;
  const [, from] = /^bytes=(\d+)-$/.exec(request.headers.range ?? '') ?? [];
  const isSame = request.headers['if-range'] === undefined || request.headers['if-range'] === etag;
  const start = from !== undefined && isSame && fault?.kind !== 'ignore-range' ? Number(from) : undefined;
  if (start !== undefined && start >= bytes.length) return void response.writeHead(416).end();
  const body = Buffer.from(bytes.subarray(start ?? 0));
  if (fault?.kind === 'damage') body[body.length >> 1] = (body[body.length >> 1] as number) ^ 1;
  if (fault?.kind === 'endless') return void response.writeHead(200).end(Buffer.concat([body, body]));
  const shift = fault?.kind === 'wrong-range' ? 1 : 0;
  response.writeHead(start === undefined ? 200 : 206, {
    etag,
    'content-length': body.length + (fault?.kind === 'wrong-length' ? fault.by : 0),
    ...(start !== undefined && { 'content-range': `bytes ${start + shift}-${bytes.length - 1}/${bytes.length}` }),
  });
  if (fault?.kind === 'drop') response.write(body.subarray(0, fault.after), () => response.socket?.destroySoon());
  else if (fault?.kind === 'hang') {
    hanging.add(response);
    response.write(body.subarray(0, fault.after));
  } else response.end(body);
}
