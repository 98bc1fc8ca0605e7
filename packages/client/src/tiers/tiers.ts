import { ChannelCredentials, makeGenericClientConstructor, Metadata, type ClientDuplexStream } from '@grpc/grpc-js';
import type { TierClientMessage, TierServerMessage } from '@open-autoglm/protocol';
import { TiersConversation, type ConversationOptions } from './conversation.ts';
import { loadService } from './service.ts';

export interface TiersOptions {
  /** `host:port` of a gateway with `grpc: {enabled: true}`. */
  readonly target: string;
  /**
   * PEM. `ca` vouches for the server; `cert` and `key` are for servers that want to see a certificate. Without any of it nothing is
   * encrypted.
   */
  readonly tls?: { readonly ca: Buffer; readonly cert?: Buffer | undefined; readonly key?: Buffer | undefined } | undefined;
  /** A server that is silent for so long is asked for a sign of life, and given up after as long again; 10 s when not given. */
  readonly keepaliveMs?: number;
}

/** A connection to a server of tiers, for any number of conversations. */
export interface Tiers {
  converse(options: ConversationOptions): TiersConversation;
  close(): void;
}

type Call = ClientDuplexStream<TierClientMessage, TierServerMessage>;

const defaultKeepaliveMs = 10_000;
const reconnectMs = { first: 100, max: 5000 } as const;

/** Connects when the first conversation begins. */
export function openTiers({ target, tls, keepaliveMs = defaultKeepaliveMs }: TiersOptions): Tiers {
  const credentials = tls ? ChannelCredentials.createSsl(tls.ca, tls.key ?? null, tls.cert ?? null) : ChannelCredentials.createInsecure();
  const Client = makeGenericClientConstructor(loadService(), 'Tiers');
  const client = new Client(target, credentials, {
    'grpc.keepalive_time_ms': keepaliveMs,
    'grpc.keepalive_timeout_ms': keepaliveMs,
    'grpc.initial_reconnect_backoff_ms': reconnectMs.first,
    'grpc.max_reconnect_backoff_ms': reconnectMs.max,
  });
  const open = (headers: Readonly<Record<string, string>>) => {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    return (client as unknown as { Converse(metadata: Metadata): Call }).Converse(metadata);
  };
  return { converse: (options) => new TiersConversation(() => open(options.headers ?? {}), options), close: () => client.close() };
}
