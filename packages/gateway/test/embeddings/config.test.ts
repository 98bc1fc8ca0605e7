import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from '../../src/main.ts';

describe('embeddings in the configuration', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-config-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const load = (text: string) => {
    const file = path.join(folder, 'config.yaml');
    writeFileSync(file, text);
    return loadConfig({ file, env: {} });
  };

  it('are a model and what it may take', () => {
    expect(load('embeddings: {model: bge-small-zh, threads: 2}').embeddings).toEqual({
      model: 'bge-small-zh',
      threads: 2,
      max_queue: 4096,
    });
    expect(load('server: {port: 1}').embeddings.model).toBeUndefined();
  });

  it('refuse what is wrong, or of no model', () => {
    expect(() => load('embeddings: {modle: bge-small-zh}')).toThrow('did you mean "model"');
    expect(() => load('embeddings: {model: bge-small-zh, threads: 0}')).toThrow(/config\.yaml:1: embeddings\.threads/);
    expect(() => load('embeddings: {name: search}')).toThrow(
      new ConfigError(
        'embeddings.model is missing: without it there is no model for embeddings, and nothing that its other keys could be of.',
      ),
    );
  });
});
