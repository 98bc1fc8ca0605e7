import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createRawServer, type AddressInfo, type Server } from 'node:net';

type Value = {
  readonly stringValue?: string;
  readonly intValue?: number;
  readonly doubleValue?: number;
  readonly boolValue?: boolean;
  readonly arrayValue?: { readonly values: readonly Value[] };
};
type KeyValue = { readonly key: string; readonly value: Value };

/** A span as OTLP's JSON has it, its attributes as an object. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status: { readonly code: number; readonly message?: string };
  readonly events: readonly { readonly name: string; readonly timeUnixNano: string }[];
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

export interface Collector extends AsyncDisposable {
  readonly endpoint: string;
  /** As they came. */
  readonly bodies: readonly string[];
  readonly headers: readonly IncomingMessage['headers'][];
  readonly spans: readonly ReceivedSpan[];
  readonly requestCount: number;
}

type Answer = (response: ServerResponse, requestIndex: number) => void;

const taken: Answer = (response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{}');

/** A collector on loopback that keeps what it is sent. */
export async function startCollector(answer: Answer = taken): Promise<Collector> {
  const bodies: string[] = [];
  const headers: IncomingMessage['headers'][] = [];
  let requestCount = 0;
  const server = createServer(async (message, response) => {
    requestCount += 1;
    headers.push(message.headers);
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk as Buffer);
    bodies.push(`${message.url} ${Buffer.concat(chunks).toString('utf8')}`);
    answer(response, requestCount - 1);
  });
  return {
    endpoint: await listen(server),
    bodies,
    headers,
    get requestCount() {
      return requestCount;
    },
    get spans() {
      return bodies.flatMap((body) => spansOf(JSON.parse(body.slice(body.indexOf(' ')))));
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Something that takes connections and says these bytes, which are no HTTP. */
export async function startRawCollector(says: string): Promise<{ readonly endpoint: string } & AsyncDisposable> {
  const server = createRawServer((socket) => {
    socket.on('error', () => {});
    socket.end(says);
  });
  return {
    endpoint: await listen(server),
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Otlp {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<ReceivedSpan, 'attributes' | 'resource'> & { readonly attributes: readonly KeyValue[] })[];
    }[];
  }[];
}

function spansOf({ resourceSpans }: Otlp): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({ ...span, attributes: toObject(span.attributes), resource: toObject(resource.attributes) })),
    ),
  );
}

function toObject(attributes: readonly KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, toPlain(value)]));
}

function toPlain(value: Value): unknown {
  if (value.arrayValue) return value.arrayValue.values.map(toPlain);
  return value.stringValue ?? value.intValue ?? value.doubleValue ?? value.boolValue;
}
