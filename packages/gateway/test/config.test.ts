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
  ['model_config: {quantization: int4}', /model_config\.quantization: only int8 is available in this version/],
  ['model_config: {kv_cache_strategy: paged}', /kv_cache_strategy: paged is not available in this version/],
  ['cache: {enabled: true}', /cache\.enabled: .*not available in this version/],
  ['engines: [{kind: openai}]', /engines: .*not available in this version/],
  ['observability: {traces: {enabeld: true}}', /unknown key "observability\.traces\.enabeld"; did you mean "enabled"\?$/],
  ['observability:\n  traces:\n    sample_ratio: 2', /config\.yaml:3: observability\.traces\.sample_ratio /],
  ['observability: {traces: {endpoint: "collector:4318"}}', /observability\.traces\.endpoint must be an address such as http/],
  ['observability: {traces: {endpoint: "http://user:secret@collector:4318"}}', /observability\.traces\.endpoint must be .* goes into headers/],
  ['server: [1, 2', /config\.yaml: /],
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
