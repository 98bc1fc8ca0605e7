import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { loadConfig } from '../../../src/main.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-semantic-'));
afterAll(() => rmSync(folder, { recursive: true }));

function load(yaml: string) {
  const file = path.join(folder, 'config.yaml');
  writeFileSync(file, yaml);
  return loadConfig({ file, env: {} });
}

it('is off unless asked for', () => {
  expect(load('cache: {enabled: true}').cache.semantic).toMatchObject({ mode: 'off', error_max: 0.005 });
  expect(load('{cache: {enabled: true, semantic: {mode: shadow}}, embeddings: {model: minilm}}').cache.semantic).toMatchObject({
    mode: 'shadow',
    max_entries: 50_000,
  });
});

it.each([
  ['cache: {semantic: {mode: on}}', /cache\.semantic\.mode is on, and the cache is off/],
  ['cache: {enabled: true, semantic: {mode: shadow}}', /cache\.semantic\.model is missing: name a model/],
  ['cache: {semantic: {mode: sometimes}}', /cache\.semantic\.mode must be/],
  ['cache: {semantic: {error_max: 0}}', /cache\.semantic\.error_max/],
  ['cache: {semantic: {threshold: 0.9}}', /unknown key "cache\.semantic\.threshold"/],
])('refuses "%s"', (yaml, message) => {
  expect(() => load(yaml)).toThrow(message);
});
