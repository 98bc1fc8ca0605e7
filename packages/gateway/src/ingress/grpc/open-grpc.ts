import type { GrpcOptions, GrpcServer } from './grpc-server.ts';

export interface GrpcSettings {
  readonly enabled: boolean;
  readonly host: string;
  readonly port: number;
  readonly tls?: GrpcOptions['tls'];
  readonly levels: readonly { readonly name: string; readonly model?: string | undefined; readonly max_tokens?: number | undefined }[];
  readonly conversations_max: number;
  readonly state_bytes_max: number;
  readonly idle_timeout_ms: number;
  readonly keepalive_ms: number;
}

/** What stands between tiers, where it is switched on; its library is loaded only then. */
export async function openGrpc(settings: GrpcSettings, { asker, identify, collect }: Pick<GrpcOptions, 'asker' | 'identify' | 'collect'>): Promise<GrpcServer | undefined> {
  if (!settings.enabled) return undefined;
  const { startGrpcServer } = await import('./grpc-server.ts');
  return startGrpcServer({
    host: settings.host,
    port: settings.port,
    tls: settings.tls,
    levels: settings.levels.map(({ name, model, max_tokens: maxTokens }) => ({ name, model, maxTokens })),
    conversationsMax: settings.conversations_max,
    stateBytesMax: settings.state_bytes_max,
    idleTimeoutMs: settings.idle_timeout_ms,
    keepaliveMs: settings.keepalive_ms,
    asker,
    identify,
    collect,
  });
}
