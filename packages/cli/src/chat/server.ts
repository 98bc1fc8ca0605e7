import { UserError } from '../failure.ts';
import { createEngineReporter } from '../serve/engine-reporter.ts';

export interface ChatServer {
  readonly url: string;
  /** The name to ask for. */
  readonly model: string;
  close(): Promise<void>;
}

/** The server that runs already, or one in this process on a free port: both are asked over HTTP. */
export async function findServer({ url = process.env['AUTOGLM_URL'], model }: { readonly url?: string; readonly model?: string }): Promise<ChatServer> {
  if (!url) return startServer(model);
  if (!URL.canParse(url) || !/^https?:/.test(url)) throw new UserError(`${url} is not a URL such as http://127.0.0.1:8080.`);
  // Users of other clients write the base URL with its version.
  return { url: url.replace(/\/+$/, '').replace(/\/v1$/, ''), model: model ?? 'default', close: async () => {} };
}

async function startServer(model: string | undefined): Promise<ChatServer> {
  const { loadConfig, startGateway } = await import('@open-autoglm/gateway');
  const config = loadConfig({
    env: process.env,
    overrides: { server: { host: '127.0.0.1', port: 0 }, ...(model !== undefined && { model_config: { path: model } }) },
  });
  const reporter = process.stderr.isTTY ? createEngineReporter(process.stderr) : undefined;
  const gateway = await startGateway({ config, ...(reporter && { onEngineStatus: reporter.report }) });
  return {
    url: gateway.url,
    model: 'default',
    async close() {
      reporter?.close();
      await gateway.drain();
    },
  };
}
