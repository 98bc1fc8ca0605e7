import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigError, defaultConfig, loadConfig } from '../src/main.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function load(yaml: string, options: Partial<Parameters<typeof loadConfig>[0]> = {}) {
  const file = path.join(folder, 'config.yaml');
  writeFileSync(file, yaml);
  return loadConfig({ file, env: {}, ...options });
}

/** [file, what the message says] */
const refused: readonly (readonly [string, RegExp])[] = [
  ['server:\n  prot: 1', /config\.yaml:2: unknown key "server\.prot"; did you mean "port"\?$/],
  ['model_confg: {}', /unknown key "model_confg"; did you mean "model_config"\?$/],
  ['cache: {enabeld: true}', /unknown key "cache\.enabeld"; did you mean "enabled"\?$/],
  ['server:\n  host: a\n  port: 70000', /config\.yaml:3: server\.port /],
  ['model_config:\n  max_batch_size: 0', /config\.yaml:2: model_config\.max_batch_size /],
  ['model_config: {quantization: int3}', /model_config\.quantization must be none, int8 or int4/],
  ['model_config: {kv_cache_strategy: pagd}', /kv_cache_strategy must be paged or static/],
  ['model_config: {kv_cache_type: q4_0}', /kv_cache_type must be f16 or q8_0/],
  ['model_config: {kv_cache_strategy: static, kv_cache_bytes: 1000000}', /kv_cache_bytes bounds the paged KV cache only/],
  [
    'cache:\n  intermediate: {enabled: true}',
    /config\.yaml:2: cache\.intermediate\.enabled is true, and nothing is kept while cache\.enabled is not\.$/,
  ],
  ['cache: {ttl_seconds: 0}', /cache\.ttl_seconds /],
  ['cache:\n  redis_url: redis://:100%sure@h', /config\.yaml:2: cache\.redis_url must be an address such as .* % %25\.$/],
  ['limits: {redis_url: "redis://:a/b@h:6379"}', /limits\.redis_url must be an address such as /],
  ['engines: [{kind: openai}]', /config\.yaml:1: engines\[0\]\.url is missing\.$/],
  ['engines:\n  - {kind: mock, model: m}\n  - {kind: opnai}', /config\.yaml:3: engines\[1\]\.kind must be openai, embedded or mock\.$/],
  ['engines: [{kind: openai, modle: m, url: "http://a/v1"}]', /unknown key "engines\[0\]\.modle"; did you mean "model"\?$/],
  ['engines: [{kind: openai, model: m, url: "a:8000"}]', /engines\[0\]\.url: "a:8000" must begin with http:\/\/ or https:\/\/\.$/],
  ['engines: [{kind: openai, model: m, url: "nonsense"}]', /engines\[0\]\.url: "nonsense" is not a URL/],
  ['engines: [{kind: openai, model: m, url: "http://u:p@a/v1"}]', /engines\[0\]\.url: .*api_key_env/],
  ['engines: [{kind: openai, model: m, url: "http://a/v1?x"}]', /engines\[0\]\.url: .*must end with its path/],
  [
    'engines: [{kind: openai, model: m, url: "http://a/v1", api_key_env: KEY}]',
    /engines\[0\]\.api_key_env: the environment variable KEY is not set/,
  ],
  ['engines: [{kind: openai, model: default, url: "http://a/v1"}]', /engines\[0\]\.model: default is the name of the embedded model/],
  ['engines: [{kind: openai, model: m, url: "http://a/v1", tier: sky}]', /engines\[0\]\.tier must be edge, region or cloud/],
  ['engines: [{kind: openai, model: m, url: "http://a/v1", weight: 0}]', /engines\[0\]\.weight /],
  [
    'engines: [{kind: openai, model: m, url: "http://a/v1", timeouts: {conect_ms: 1}}]',
    /unknown key "engines\[0\]\.timeouts\.conect_ms"; did you mean "connect_ms"/,
  ],
  ['engines: [{kind: mock, model: m, name: a}, {kind: mock, model: m, name: a}]', /engines\[1\]\.name: the name "a" is taken/],
  ['engines: [{kind: embedded}, {kind: embedded}]', /engines\[1\]\.kind: there is one embedded engine already/],
  ['engines: {kind: mock}', /config\.yaml:1: engines /],
  ['admission: {policy: lifo}', /admission\.policy must be fcfs, mlfq, srtf, edf or vtc/],
  ['admission: {lanes: {batch_share: 1}}', /unknown key "admission\.lanes\.batch_share"; known keys: batch_yields, batch_share_min\.$/],
  ['admission:\n  lanes: {batch_share_min: 1}', /config\.yaml:2: admission\.lanes\.batch_share_min .*0\.95/],
  ['admission:\n  aging_ms: 0', /config\.yaml:2: admission\.aging_ms /],
  ['router: {balance: dice}', /router\.balance must be .* or /],
  ['router: {trys_max: 1}', /unknown key "router\.trys_max"; did you mean "tries_max"\?/],
  ['observability: {traces: {enabeld: true}}', /unknown key "observability\.traces\.enabeld"; did you mean "enabled"\?$/],
  ['observability:\n  traces:\n    sample_ratio: 2', /config\.yaml:3: observability\.traces\.sample_ratio /],
  ['observability: {traces: {endpoint: "collector:4318"}}', /observability\.traces\.endpoint must be an address such as http/],
  [
    'observability: {traces: {endpoint: "http://user:secret@collector:4318"}}',
    /observability\.traces\.endpoint must be .* goes into headers/,
  ],
  [
    'observability: {traces: {endpoint: "http://collector:99999"}}',
    /config\.yaml:1: observability\.traces\.endpoint must be an address such as http/,
  ],
  ['observability:\n  traces:\n    headers: {"a b": c}', /config\.yaml:3: observability\.traces\.headers\.a b is not an HTTP header/],
  [
    'observability: {traces: {headers: {authorization: "two\\nlines"}}}',
    /observability\.traces\.headers\.authorization is not an HTTP header/,
  ],
  ['router:\n  balance: devices', /config\.yaml:2: router\.balance is devices, and devices\.enabled is not true/],
  ['router: {health: {eject_ms: 60000}}', /router\.health\.eject_max_ms is 30000, and must not be less than eject_ms: 60000\.$/],
  [
    'admission: {concurrency: {adaptive: true, initial: 4, min: 8}}',
    /config\.yaml:1: admission\.concurrency\.initial is 4, and must not be less than min: 8\.$/,
  ],
  ['batches: {concurrency: 3}', /batches\.sqlite_path and batches\.postgres_url_env are missing/],
  [
    'model_config: {kv_cache_strategy: static, kv_cache_shared_between_tenants: true}',
    /kv_cache_shared_between_tenants is true, and a static KV cache shares nothing/,
  ],
  [
    'embeddings: {model: bge-small-zh, name: default}',
    /config\.yaml:1: embeddings\.name is "default", which is the model of the engine embedded already\.$/,
  ],
  ['server: [1, 2', /config\.yaml: /],
  ['server: *none', /config\.yaml: Unresolved alias .*none\.$/],
  ['a: &a [x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]', /config\.yaml: Excessive alias count/],
  ['server:\n  host: !secret name', /config\.yaml: Unresolved tag: !secret at line 2/],
  [
    'fit:\n  models:\n    org/model~2:\n      contxt_length: 4096',
    /config\.yaml:4: unknown key "fit\.models\.org\/model~2\.contxt_length"; did you mean "context_length"\?$/,
  ],
  ['fit:\n  models:\n    qwen: {context_length: 4096}', /config\.yaml:3: fit\.models\.qwen is of a model that no other server has\.$/],
  [
    'model_config: {}\nengines: [{kind: openai, url: "http://a/v1", model: glm}]\nfit:\n  models:\n    default: {context_length: 4096}',
    /config\.yaml:5: fit\.models\.default is of a model that no other server has; known models: glm\.$/,
  ],
  [
    'input:\n  images:\n    models: {qwen: {pixels_max: 100000}}',
    /config\.yaml:3: input\.images\.models\.qwen is of a model that no engine has; known models: default\.$/,
  ],
  [
    'cache:\n  prefetch: {enabled: true}',
    /config\.yaml:2: cache\.prefetch\.enabled is true, and nothing is kept while cache\.enabled is not\.$/,
  ],
  [
    'limits:\n  keys:\n    alice: {requests_per_minutes: 3}',
    /config\.yaml:3: unknown key "limits\.keys\.alice\.requests_per_minutes"; did you mean "requests_per_minute"\?$/,
  ],
  ['observability:\n  traces:\n    headers: {a/b: ""}', /config\.yaml:3: observability\.traces\.headers\.a\/b must not have fewer/],
  [
    'engines: [{kind: openai, model: m, url: "http://a/v1", classify_path: classify}]',
    /engines\[0\]\.classify_path must be a path such as \/classify\.$/,
  ],
  ['just text', /must hold keys and values/],
];

describe('loadConfig', () => {
  it.each(refused)('refuses %j', (yaml, message) => {
    expect(() => load(yaml)).toThrow(ConfigError);
    expect(() => load(yaml)).toThrow(message);
  });

  it('has defaults for all', () => {
    expect(loadConfig({ env: {} })).toEqual(defaultConfig);
    expect(load('')).toEqual(defaultConfig);
    expect(load('model_config:\nserver:\n')).toEqual(defaultConfig);
  });

  it('keeps the defaults of what a section within a section leaves out', () => {
    const { traces, metrics } = load('observability: {traces: {enabled: true, headers: {authorization: secret}}}').observability;
    expect(traces).toEqual({ ...defaultConfig.observability.traces, enabled: true, headers: { authorization: 'secret' } });
    expect(metrics).toEqual(defaultConfig.observability.metrics);
  });

  it('completes engines, and keeps the embedded one only where a model is configured', () => {
    const remote =
      'engines: [{kind: openai, url: "http://vllm:8000/v1", model: glm}, {kind: openai, url: "http://vllm:8000/v1", model: qwen, timeouts: {idle_ms: 5}}]';
    const { engines } = load(remote);
    expect(engines.map(({ name, kind, tier, weight }) => ({ name, kind, tier, weight }))).toEqual([
      { name: 'vllm:8000', kind: 'openai', tier: 'cloud', weight: 1 },
      { name: 'vllm:8000-2', kind: 'openai', tier: 'cloud', weight: 1 },
    ]);
    expect(engines[1]).toMatchObject({ upstream_model: 'qwen', timeouts: { idle_ms: 5, connect_ms: 2000 } });
    const kinds = (config: ReturnType<typeof load>) => config.engines.map(({ kind }) => kind);
    expect(kinds(load(`${remote}\nmodel_config:`))).toEqual(['embedded', 'openai', 'openai']);
    expect(kinds(load(remote, { overrides: { model_config: { path: 'a.gguf' } } }))).toEqual(['embedded', 'openai', 'openai']);
    expect(kinds(load(remote, { overrides: { model_config: { threads: 1 } }, env: { AUTOGLM_THREADS: '2' } }))).toEqual([
      'openai',
      'openai',
    ]);
    expect(kinds(load('', { overrides: { engines: [{ kind: 'mock', model: 'm' }] } }))).toEqual(['mock']);
    expect(kinds(load('engines:'))).toEqual(['embedded']);
    expect(load('router: {tries_max: 2}').router).toEqual({ ...defaultConfig.router, tries_max: 2 });
  });

  it('refuses a key that no header can carry, without showing it', () => {
    const yaml = 'engines: [{kind: openai, model: m, url: "http://a/v1", api_key_env: KEY}]';
    expect(() => load(yaml, { env: { KEY: 'sk-123\n' } })).toThrow(
      /^(?!.*sk-123).*engines\[0\]\.api_key_env: the environment variable KEY holds a space, a line break/s,
    );
    expect(load(yaml, { env: { KEY: 'sk-123' } }).engines[0]).toMatchObject({ api_key_env: 'KEY' });
  });

  it('lets the file win over defaults, the environment over the file, the command line over all', () => {
    const yaml = 'server: {host: a, port: 1, body_limit_bytes: 5000}';
    const { server } = load(yaml, { env: { HOST: 'b', PORT: '2' }, overrides: { server: { port: 3 } } });
    expect(server).toEqual({ ...defaultConfig.server, host: 'b', port: 3, body_limit_bytes: 5000 });
  });

  it('finds the file by AUTOGLM_CONFIG, and says when it cannot be read', () => {
    load('server: {port: 7}');
    expect(loadConfig({ env: { AUTOGLM_CONFIG: path.join(folder, 'config.yaml') } }).server.port).toBe(7);
    expect(() => loadConfig({ env: { AUTOGLM_CONFIG: path.join(folder, 'absent.yaml') } })).toThrow(/absent\.yaml cannot be read/);
  });

  it.each(['x', '-1', '70000', '1.5', ' '])('refuses PORT=%j by name', (PORT) => {
    expect(() => loadConfig({ env: { PORT } })).toThrow(/environment variable PORT/);
  });
});
