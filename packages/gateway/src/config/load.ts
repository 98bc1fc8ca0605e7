import { readFileSync } from 'node:fs';
import { Compile } from 'typebox/compile';
import { isMap, LineCounter, parseDocument, type Document } from 'yaml';
import { configSchema, defaultConfig, type Config } from './schema.ts';

/** A configuration that cannot be used; the message names the key, and the line where it came from a file. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

type Section = 'server' | 'model_config';
export type ConfigOverrides = { readonly [S in Section]?: Partial<Config[S]> };

export interface LoadConfigOptions {
  /** A YAML file; `AUTOGLM_CONFIG` when not given. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of the command line; they win. */
  readonly overrides?: ConfigOverrides;
}

const validator = Compile(configSchema);

/** Defaults, then the file, then the environment, then the command line. Throws `ConfigError`. */
export function loadConfig({ file, env, overrides = {} }: LoadConfigOptions): Config {
  const path = file ?? env['AUTOGLM_CONFIG'];
  const source = path ? readYaml(path) : undefined;
  const config = merge([source?.value ?? {}, fromEnvironment(env), overrides]);
  check(config, source);
  refuseWhatIsMissing(config as Config);
  return config as Config;
}

interface YamlSource {
  readonly path: string;
  readonly value: Record<string, unknown>;
  readonly document: Document;
  readonly lines: LineCounter;
}

function readYaml(path: string): YamlSource {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`The configuration file ${path} cannot be read: ${(error as Error).message}`);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const [error] = document.errors;
  if (error) throw new ConfigError(`${path}: ${error.message}`);
  if (document.contents !== null && !isMap(document.contents)) throw new ConfigError(`${path} must hold keys and values, such as "model_config:".`);
  return { path, value: (document.toJS() ?? {}) as Record<string, unknown>, document, lines };
}

function fromEnvironment(env: LoadConfigOptions['env']): Record<string, unknown> {
  const port = wholeNumber(env, 'PORT', 0, 65_535);
  const threads = wholeNumber(env, 'AUTOGLM_THREADS', 1, 512);
  return {
    server: { ...(port !== undefined && { port }), ...(env['HOST'] && { host: env['HOST'] }) },
    model_config: { ...(threads !== undefined && { threads }) },
  };
}

function wholeNumber(env: LoadConfigOptions['env'], name: string, minimum: number, maximum: number): number | undefined {
  const text = env[name];
  if (!text) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= minimum && value <= maximum) return value;
  throw new ConfigError(`The environment variable ${name} must be an integer from ${minimum} to ${maximum}, not ${JSON.stringify(text)}.`);
}

function merge(layers: readonly object[]): Record<string, unknown> {
  return layers.reduce<Record<string, unknown>>(overlay, defaultConfig);
}

function overlay(base: Record<string, unknown>, layer: object): Record<string, unknown> {
  const merged = { ...base };
  for (const [key, value] of Object.entries(layer)) {
    const below = merged[key];
    // A section with nothing under it is null in YAML.
    if (isRecord(below) && (value === null || isRecord(value))) merged[key] = overlay(below, value ?? {});
    else merged[key] = value;
  }
  return merged;
}

function check(config: unknown, source: YamlSource | undefined): void {
  if (validator.Check(config)) return;
  const errors = [...validator.Errors(config)];
  const unknown = errors.find((error) => error.keyword === 'additionalProperties');
  if (unknown) {
    const [key = ''] = unknown.params['additionalProperties'] as unknown as string[];
    const path = [...segments(unknown.instancePath), key];
    throw new ConfigError(`${place(source, path)}unknown key "${path.join('.')}"${suggestion(path)}`);
  }
  const error = errors.find((candidate) => candidate.keyword === 'anyOf') ?? errors[0];
  const path = segments(error?.instancePath ?? '');
  throw new ConfigError(`${place(source, path)}${path.join('.')} ${explain(path, error?.message)}.`);
}

const choices: Readonly<Record<string, string>> = {
  'model_config.quantization': 'must be none, int8 or int4',
  'model_config.kv_cache_strategy': 'must be paged or static',
  'observability.traces.endpoint': 'must be an address such as http://127.0.0.1:4318; what it asks for to let you in goes into headers',
};

function explain(path: readonly string[], message: string | undefined): string {
  return choices[path.join('.')] ?? message ?? 'is not valid';
}

/** An option that would be accepted and ignored is worse than none. */
function refuseWhatIsMissing(config: Config): void {
  const missing: readonly (readonly [boolean, string])[] = [
    [config.engines.length > 0, 'engines: remote engines are not available in this version'],
    [config.cache.enabled, 'cache.enabled: the response cache is not available in this version'],
    [config.model_config.kv_cache_strategy === 'paged', 'model_config.kv_cache_strategy: paged is not available in this version; use static'],
    [config.model_config.quantization !== 'int8', 'model_config.quantization: only int8 is available in this version; a GGUF file keeps the types that it has'],
  ];
  const found = missing.find(([isAsked]) => isAsked);
  if (found) throw new ConfigError(`${found[1]}.`);
}

function suggestion(path: readonly string[]): string {
  const section = path.slice(0, -1).reduce<unknown>((parent, key) => (isRecord(parent) ? parent[key] : undefined), defaultConfig);
  const siblings = Object.keys(section ?? {});
  const candidates = path[0] === 'model_config' ? [...siblings, 'threads'] : siblings;
  const wanted = path.at(-1) as string;
  const [nearest] = candidates.map((name) => ({ name, distance: editDistance(name, wanted) })).sort((a, b) => a.distance - b.distance);
  return nearest && nearest.distance <= Math.max(2, wanted.length / 3) ? `; did you mean "${nearest.name}"?` : `; known keys: ${candidates.join(', ')}.`;
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1) next.push(Math.min((row[j] ?? 0) + Number(letter !== b[j]), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    row = next;
  }
  return row[b.length] ?? 0;
}

function place(source: YamlSource | undefined, path: readonly string[]): string {
  const node = source?.document.getIn(path, true) as { range?: [number, number, number] } | undefined;
  if (!source || !node?.range) return '';
  return `${source.path}:${source.lines.linePos(node.range[0]).line}: `;
}

function segments(instancePath: string): string[] {
  return instancePath.split('/').slice(1);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
