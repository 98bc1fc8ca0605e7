import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { defaultConfig, type Config } from '../../../src/main.ts';
import { openLogs, type Logs, type LogsOptions } from '../../../src/observability/logs/logs.ts';
import { DropCounter } from '../../../src/observability/sinks/drop-counter.ts';

export type LogsConfig = Config['observability']['logs'];
export type Line = Readonly<Record<string, unknown>>;

/** A folder for the files of one test. */
export function makeFolder(): { file(name: string): string; fifo(name: string): string } & Disposable {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-log-'));
  const file = (name: string) => path.join(folder, name);
  return {
    file,
    fifo(name) {
      execFileSync('mkfifo', [file(name)]);
      return file(name);
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}

export function linesOf(file: string): Line[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}

export function logsTo(destination: string, logs: Partial<LogsConfig> = {}): LogsConfig {
  return { ...defaultConfig.observability.logs, enabled: true, format: 'json', destination, ...logs };
}

/** A log as the gateway opens one, with its account of what was dropped. */
export async function openTestLogs(
  config: LogsConfig,
  options: Partial<LogsOptions> = {},
): Promise<{ readonly logs: Logs; readonly drops: DropCounter }> {
  const drops = new DropCounter(
    () => {},
    (count) => logs.warn('log lines were dropped', { count }),
  );
  const logs = await openLogs({ config, drops, secrets: [], ...options });
  return { logs, drops };
}
