import { createRequire } from 'node:module';
import type { handleBidiStreamingCall, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { TierClientMessage, TierServerMessage } from '@open-autoglm/protocol';

interface Handlers {
  [method: string]: handleBidiStreamingCall<TierClientMessage, TierServerMessage>;
  readonly Converse: handleBidiStreamingCall<TierClientMessage, TierServerMessage>;
}

/** `autoglm.tiers.v1.Tiers`, as the protocol package publishes it. Messages are those of its `tiers.ts`. */
export function loadService(): ServiceDefinition<Handlers> {
  const file = createRequire(import.meta.url).resolve('@open-autoglm/protocol/proto/tiers.proto');
  // Versions and revisions count messages of one conversation: a number holds them.
  const loaded = loadSync(file, { longs: Number, arrays: true });
  return loaded['autoglm.tiers.v1.Tiers'] as unknown as ServiceDefinition<Handlers>;
}
