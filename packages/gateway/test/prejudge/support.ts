import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createMockEngine, defaultConfig, startGateway, type MockEngine, type MockScript } from '../../src/main.ts';

export interface RuledServer extends AsyncDisposable {
  readonly url: string;
  readonly engine: MockEngine;
  /** Of the rules. */
  readonly file: string;
  /** Replaces the rules in one step, as an editor does that saves by renaming. */
  save(rules: readonly object[] | string): void;
  ask(content: string, more?: object): Promise<Response>;
  /** What `/metrics` says of names that begin like this. */
  metrics(prefix: string): Promise<readonly string[]>;
}

/** A real gateway in front of the mock, with these rules in a file of their own; what it logs goes to `log`. */
export async function startRuledServer(rules: readonly object[] | string, script: MockScript = {}, log?: string): Promise<RuledServer> {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-rules-'));
  const file = path.join(folder, 'rules.yaml');
  const textOf = (of: readonly object[] | string) => (typeof of === 'string' ? of : JSON.stringify({ rules: of }));
  writeFileSync(file, textOf(rules));
  const engine = createMockEngine(script);
  const logs =
    log === undefined ? defaultConfig.observability.logs : { ...defaultConfig.observability.logs, enabled: true, destination: log };
  const config = {
    ...defaultConfig,
    server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
    prejudge: { ...defaultConfig.prejudge, rules: file },
    observability: { ...defaultConfig.observability, logs },
  };
  const gateway = await startGateway({ config, engine }).catch((error: unknown) => {
    rmSync(folder, { recursive: true });
    throw error;
  });
  return {
    url: gateway.url,
    engine,
    file,
    save(next) {
      writeFileSync(`${file}.new`, textOf(next));
      renameSync(`${file}.new`, file);
    },
    ask: (content, more = {}) =>
      fetch(`${gateway.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'default', messages: [{ role: 'user', content }], ...more }),
      }),
    async metrics(prefix) {
      const text = await (await fetch(`${gateway.url}/metrics`)).text();
      return text.split('\n').filter((line) => line.startsWith(prefix));
    },
    async [Symbol.asyncDispose]() {
      await gateway.drain();
      rmSync(folder, { recursive: true });
    },
  };
}
