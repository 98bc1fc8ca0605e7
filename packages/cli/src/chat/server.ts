import { UserError } from '../failure.ts';
import { readApiKey } from '../api-key.ts';
import { createEngineReporter } from '../serve/engine-reporter.ts';
import { isLoading, listModels } from './list-models.ts';
import type { ChatAddress } from './stream-chat.ts';

export interface ChatServer extends ChatAddress {
  /** The name to ask for. */
  readonly model: string;
  close(): Promise<void>;
}

/** The name of the model that runs in a server of this project. */
const embedded = 'default';
const listTimeoutMs = 10_000;

/** The server that runs already, or one in this process on a free port: both are asked over HTTP. */
export async function findServer({
  url = process.env['AUTOGLM_URL'],
  model,
}: {
  readonly url?: string;
  readonly model?: string;
}): Promise<ChatServer> {
  if (!url) return startServer(model);
  if (!URL.canParse(url) || !/^https?:/.test(url)) throw new UserError(`${url} is not a URL such as http://127.0.0.1:8080.`);
  // Users of other clients write the base URL with its version.
  const address = { url: url.replace(/\/+$/, '').replace(/\/v1$/, ''), apiKey: readApiKey('AUTOGLM_API_KEY') };
  return { ...address, model: model ?? (await chooseModel(address)), close: async () => {} };
}

/** The embedded model of a server that has one, else the first that it lists. */
async function chooseModel(address: ChatAddress): Promise<string> {
  const signal = AbortSignal.timeout(listTimeoutMs);
  const names = await listModels(address, signal);
  const [first] = names;
  if (first === undefined || names.includes(embedded)) return embedded;
  return (await isLoading(address, embedded, signal)) ? embedded : first;
}

async function startServer(model: string | undefined): Promise<ChatServer> {
  const { loadConfig, startGateway } = await import('@open-autoglm/gateway');
  const config = loadConfig({
    env: process.env,
    overrides: { server: { host: '127.0.0.1', port: 0 }, ...(model !== undefined && { model_config: { path: model } }) },
  });
  const reporter = process.stderr.isTTY ? createEngineReporter(process.stderr) : undefined;
  // Nobody else is to ask it, and it is gone with the chat: it wants no key.
  const gateway = await startGateway({
    config: { ...config, auth: { keys: [] }, limits: { ...config.limits, keys: {} } },
    ...(reporter && { onEngineStatus: reporter.report }),
  });
  return {
    url: gateway.url,
    apiKey: undefined,
    // It lists nothing that it has not loaded or reached yet. The configuration may have other servers alone.
    model: (config.engines.find(({ kind }) => kind === 'embedded') ?? config.engines[0])?.model ?? embedded,
    async close() {
      reporter?.close();
      await gateway.drain();
    },
  };
}
