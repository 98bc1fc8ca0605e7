import { ConfigError } from '../../common/config-error.ts';
import type { GrpcOptions, GrpcServer } from './grpc-server.ts';
import type { OnRefusal } from './level-door.ts';
import type { ServedLevel, UpstreamSettings } from './upstream-level.ts';

export interface GrpcSettings {
  readonly enabled: boolean;
  readonly host: string;
  readonly port: number;
  readonly tls?: GrpcOptions['tls'];
  readonly levels: readonly {
    readonly name: string;
    readonly model?: string | undefined;
    readonly max_tokens?: number | undefined;
    readonly upstream?: (UpstreamSettings & { readonly api_key_env?: string | undefined }) | undefined;
  }[];
  readonly conversations_max: number;
  readonly state_bytes_max: number;
  readonly idle_timeout_ms: number;
  readonly keepalive_ms: number;
}

interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws for a name that no model has here. */
  readonly checkModel: (name: string) => void;
  readonly onRefusal: OnRefusal;
}

/** What stands between tiers, where it is switched on; its library is loaded only then. */
export async function openGrpc(
  settings: GrpcSettings,
  {
    asker,
    identify,
    collect,
    env,
    checkModel,
    onRefusal,
    onInvalidCertificate,
  }: Pick<GrpcOptions, 'asker' | 'identify' | 'collect' | 'onInvalidCertificate'> & Surroundings,
): Promise<GrpcServer | undefined> {
  if (!settings.enabled) return undefined;
  const { startGrpcServer } = await import('./grpc-server.ts');
  const { openUpstreamLevel } = await import('./upstream-level.ts');
  const levels: ServedLevel[] = [];
  for (const [index, { name, model, max_tokens: maxTokens, upstream }] of settings.levels.entries()) {
    // At another gateway's level it is that gateway that knows the name.
    if (model !== undefined && !upstream) checkNamed(`grpc.levels[${index}].model`, model, checkModel);
    const variable = upstream?.api_key_env;
    if (variable !== undefined && !env[variable])
      throw new ConfigError(`grpc.levels: the upstream.api_key_env of ${name}: the environment variable ${variable} is not set.`);
    levels.push({
      name,
      model,
      maxTokens,
      ...(upstream && {
        upstream: await openUpstreamLevel(
          name,
          upstream,
          variable === undefined ? undefined : env[variable],
          settings.keepalive_ms,
          onRefusal,
          onInvalidCertificate,
        ),
      }),
    });
  }
  return startGrpcServer({
    host: settings.host,
    port: settings.port,
    tls: settings.tls,
    levels,
    conversationsMax: settings.conversations_max,
    stateBytesMax: settings.state_bytes_max,
    idleTimeoutMs: settings.idle_timeout_ms,
    keepaliveMs: settings.keepalive_ms,
    asker,
    identify,
    collect,
    onInvalidCertificate,
  });
}

function checkNamed(key: string, model: string, check: (name: string) => void): void {
  try {
    check(model);
  } catch (error) {
    throw new ConfigError(`${key}: ${(error as Error).message}`);
  }
}
