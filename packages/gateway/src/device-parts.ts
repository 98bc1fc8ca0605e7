import { ConfigError } from './common/config-error.ts';
import type { DevicePlace, DeviceReport, InputKind } from './common/device-registry.ts';
import type { EngineConfig } from './config/engines.ts';
import type { Config } from './config/schema.ts';
import type { Access } from './ingress/access.ts';
import { createDevicesResource } from './ingress/devices-resource.ts';
import type { FindResource } from './ingress/resource.ts';
import { DeviceTable } from './router/devices/device-table.ts';
import { createAcceleratorReader, ownReport } from './router/devices/own-report.ts';
import { DeviceReporter } from './router/devices/reporter.ts';
import type { DeviceWeights } from './router/devices/score.ts';

type Env = Readonly<Record<string, string | undefined>>;

export interface Devices {
  /** Where an engine runs; undefined: that is nobody's affair. */
  placeOf(engine: EngineConfig): DevicePlace | undefined;
  readonly resource: () => FindResource;
  /** Begins to say how this machine is. */
  start(onTarget: (url: string, problem: string | undefined) => void): void;
  /** Idempotent. */
  close(): void;
}

/** Undefined where devices are not asked for. Throws `ConfigError` for a variable that is not set. */
export function openDevices(config: Config['devices'], access: Access, env: Env): Devices | undefined {
  if (!config.enabled) return undefined;
  const token = config.token_env === undefined ? undefined : variable(env, config.token_env, 'devices.token_env');
  const targets = config.report_to.map(({ url, token_env: tokenEnv, api_key_env: keyEnv }, index) => ({
    url,
    token: tokenEnv === undefined ? undefined : variable(env, tokenEnv, `devices.report_to[${index}].token_env`),
    apiKey: keyEnv === undefined ? undefined : variable(env, keyEnv, `devices.report_to[${index}].api_key_env`),
  }));
  const weightsOf = (kind: InputKind) => ({ ...config.weights, ...config.weights_by_input[kind] }) as DeviceWeights;
  const table = new DeviceTable({
    devicesMax: config.devices_max,
    timeoutMs: config.timeout_ms,
    weights: { text: weightsOf('text'), structured: weightsOf('structured'), image: weightsOf('image') },
    latencyUnitMs: config.latency_unit_ms,
    now: () => performance.now(),
  });
  const beatOwn = (report: DeviceReport) => {
    try {
      table.beat(config.id, report);
    } catch {
      // Others have filled the table: this machine is in use all the same, and only its room is not known.
    }
  };
  const readAccelerators = createAcceleratorReader();
  let reporter: DeviceReporter | undefined;
  return {
    placeOf({ kind, device }) {
      if (device !== undefined) return table.placeOf(device, device === config.id);
      return kind === 'openai' ? undefined : table.placeOf(config.id, true);
    },
    resource: () => createDevicesResource({ access, registry: table, token }),
    start(onTarget) {
      reporter = new DeviceReporter({
        id: config.id,
        intervalMs: config.interval_ms,
        targets,
        onTarget,
        onReport: (report) => beatOwn(report),
        report: (latencyMs) => ownReport({ accepts: config.accepts, intervalMs: config.interval_ms, latencyMs }, readAccelerators),
      });
    },
    close: () => reporter?.close(),
  };
}

function variable(env: Env, name: string, key: string): string {
  const value = env[name];
  if (!value || !/^[\x21-\x7e]+$/.test(value))
    throw new ConfigError(`${key}: the environment variable ${name} is not set, or holds a character that no header may have.`);
  return value;
}
