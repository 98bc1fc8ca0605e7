import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  ChannelCredentials,
  makeGenericClientConstructor,
  Metadata,
  type ChannelOptions,
  type ClientDuplexStream,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadService } from '@open-autoglm/client/tiers';
import type { TierClientMessage, TierServerMessage } from '@open-autoglm/protocol';
import {
  createMockEngine,
  defaultConfig,
  startGateway,
  type Config,
  type Gateway,
  type GatewayOptions,
  type MockEngine,
  type MockScript,
} from '../../src/main.ts';

type GrpcConfig = Config['grpc'];

export interface GrpcServerUnderTest extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly engine: MockEngine;
  readonly target: string;
}

/** A real gateway with gRPC on a free port, in front of the mock. */
export async function startGrpcGateway(
  grpc: Partial<GrpcConfig> = {},
  script: MockScript = {},
  more: Pick<GatewayOptions, 'env'> & {
    readonly auth?: Config['auth'];
    readonly limits?: Partial<Config['limits']>;
    readonly onNotice?: (notice: string) => void;
  } = {},
): Promise<GrpcServerUnderTest> {
  const engine = createMockEngine(script);
  const config = {
    ...defaultConfig,
    server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
    grpc: { ...defaultConfig.grpc, enabled: true, port: 0, ...grpc },
    ...(more.auth && { auth: more.auth }),
    limits: { ...defaultConfig.limits, ...more.limits },
  };
  const gateway = await startGateway({
    config,
    engine,
    ...(more.env && { env: more.env }),
    ...(more.onNotice && { onNotice: more.onNotice }),
  });
  return { gateway, engine, target: `127.0.0.1:${gateway.grpcPort}`, [Symbol.asyncDispose]: () => gateway.drain() };
}

/** A raw client: what anybody would make of the published .proto. */
export class RawConversation implements Disposable {
  readonly messages: TierServerMessage[] = [];
  /** Resolves with how the call ended. */
  readonly ended: Promise<ServiceError | undefined>;
  readonly call: ClientDuplexStream<TierClientMessage, TierServerMessage>;
  readonly #close: () => void;
  #wake = () => {};
  #hasEnded = false;

  constructor(
    target: string,
    credentials = ChannelCredentials.createInsecure(),
    headers: Record<string, string> = {},
    options: ChannelOptions = {},
  ) {
    const Client = makeGenericClientConstructor(loadService(), 'Tiers');
    const client = new Client(target, credentials, options);
    this.#close = () => client.close();
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    this.call = (client as unknown as { Converse(metadata: Metadata): ClientDuplexStream<TierClientMessage, TierServerMessage> }).Converse(
      metadata,
    );
    this.call.on('data', (message: TierServerMessage) => {
      this.messages.push(message);
      this.#wake();
    });
    this.ended = new Promise((resolve) => {
      this.call.on('error', (error) => resolve(error as ServiceError));
      this.call.on('end', () => resolve(undefined));
    });
    void this.ended.then(() => {
      this.#hasEnded = true;
      this.#wake();
    });
  }

  hello(...levels: string[]): this {
    this.call.write({ hello: { levels } });
    return this;
  }

  document(version: number, document: unknown): this {
    this.call.write({ state: { version, document: Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)) } });
    return this;
  }

  patch(version: number, operations: unknown): this {
    this.call.write({ state: { version, patch: Buffer.from(JSON.stringify(operations)) } });
    return this;
  }

  /** The first message that the check accepts. */
  async until<T>(check: (message: TierServerMessage) => T | undefined): Promise<T> {
    for (;;) {
      for (const message of this.messages) {
        const found = check(message);
        if (found !== undefined) return found;
      }
      if (this.#hasEnded) throw (await this.ended) ?? new Error('the call ended');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  final(level: string, stateVersion: number) {
    return this.until((message) =>
      'decision' in message && message.decision.final && message.decision.level === level && message.decision.stateVersion === stateVersion
        ? message.decision
        : undefined,
    );
  }

  problem() {
    return this.until((message) => ('problem' in message ? message.problem : undefined));
  }

  [Symbol.dispose](): void {
    this.call.cancel();
    this.#close();
  }
}

export interface Certificates extends AsyncDisposable {
  readonly folder: string;
  file(name: string): string;
  read(name: string): Promise<Buffer>;
}

/**
 * Two authorities, and a server and clients that each of them vouches for: `ca`, `server`, `client`, `stranger-ca`, `stranger`; `expired`
 * has the server's key. Throws where openssl is absent.
 */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-certificates-'));
  const openssl = (...options: string[]) => execFileSync('openssl', options, { cwd: folder, stdio: 'ignore' });
  const authority = (name: string) =>
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
    );
  const member = (name: string, by: string) => {
    openssl(
      'req',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=${name}`,
      '-addext',
      'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:10.77.0.2',
    );
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      `${by}.pem`,
      '-CAkey',
      `${by}.key`,
      '-CAcreateserial',
      '-out',
      `${name}.pem`,
      '-days',
      '2',
      '-copy_extensions',
      'copy',
    );
  };
  authority('ca');
  authority('stranger-ca');
  member('server', 'ca');
  member('client', 'ca');
  member('stranger', 'stranger-ca');
  openssl('x509', '-in', 'server.pem', '-signkey', 'server.key', '-out', 'expired.pem', '-days', '-1');
  const file = (name: string) => path.join(folder, name);
  return { folder, file, read: (name) => readFile(file(name)), [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

export function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
