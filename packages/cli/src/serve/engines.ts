import { readApiKey } from '../api-key.ts';
import { messageOf, UserError } from '../failure.ts';

export interface EngineOptions {
  /** Base URLs. */
  readonly engine?: readonly string[];
  readonly engineModel?: string;
  readonly engineKeyEnv?: string;
}

/** More than a server of the field lists in earnest. */
const modelsMax = 64;

/** The servers of `--engine` as entries of the configuration: one for each model asked for, or that they list. Undefined without any. */
export async function findEngines(
  { engine: urls, engineModel, engineKeyEnv }: EngineOptions,
  env: NodeJS.ProcessEnv,
): Promise<object[] | undefined> {
  if (!urls) {
    if (engineModel !== undefined || engineKeyEnv !== undefined)
      throw new UserError('--engine-model and --engine-key-env speak of the server of --engine, which is missing.');
    return undefined;
  }
  const key = engineKeyEnv === undefined ? {} : { api_key_env: engineKeyEnv };
  const apiKey = engineKeyEnv === undefined ? undefined : readApiKey(engineKeyEnv, env);
  const found = await Promise.all(
    urls.map(async (text) => {
      const url = withPath(text);
      // What default is, only that server knows.
      const models =
        engineModel === undefined || engineModel === 'default' ? await list(url, apiKey, engineModel) : [{ model: engineModel }];
      return models.map((model) => ({ kind: 'openai', url, ...model, ...key }));
    }),
  );
  return found.flat();
}

interface NamedModel {
  readonly model: string;
  readonly upstream_model?: string;
}

async function list(url: string, apiKey: string | undefined, wanted: string | undefined): Promise<NamedModel[]> {
  const { listModels } = await import('@open-autoglm/gateway');
  const listed = await listModels(url, apiKey).catch((error: unknown) => {
    throw new UserError(
      `--engine ${url}: its models are not known (${messageOf(error)}). Start that server first, or name the model: --engine-model NAME.`,
    );
  });
  const models = named(listed)
    .filter((model) => wanted === undefined || model.upstream_model === wanted)
    .slice(0, modelsMax);
  if (models.length > 0) return models;
  throw new UserError(
    listed.some(({ id }) => id === 'default')
      ? `--engine ${url}: its model is called default there, which means the embedded model here. Give it another name in a file: engines: [{kind: openai, url: '${url}', model: NAME, upstream_model: default}].`
      : `--engine ${url}: it lists no ${wanted === undefined ? 'models' : `model of the name ${wanted}`}. Wait until it has loaded one, or name the one to ask for: --engine-model NAME.`,
  );
}

/**
 * What another gateway calls default has the name of its file or package here: such gateways may have different ones. Elsewhere that name
 * means nothing.
 */
function named(listed: readonly { readonly id: string; readonly source: string | undefined }[]): NamedModel[] {
  const source = listed.find(({ id }) => id === 'default')?.source;
  const isNamed = source !== undefined && source !== 'default';
  return [
    ...(isNamed ? [{ model: source, upstream_model: 'default' }] : []),
    ...listed.filter(({ id }) => id !== 'default' && id !== source).map(({ id }) => ({ model: id })),
  ];
}

/** Where a URL has no path, OpenAI's is meant. */
function withPath(text: string): string {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol)) throw new UserError(`--engine ${text}: it must be a URL such as http://127.0.0.1:8000/v1.`);
  if (url.username !== '' || url.password !== '')
    throw new UserError(`--engine ${url.host}: a password does not belong in a URL; use --engine-key-env.`);
  return url.pathname === '/' && url.search === '' ? `${url.origin}/v1` : text;
}
