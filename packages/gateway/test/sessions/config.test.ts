import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { loadConfig } from '../../src/main.ts';

function load(yaml: string): ReturnType<typeof loadConfig> {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-config-'));
  try {
    const file = path.join(folder, 'config.yaml');
    writeFileSync(file, yaml);
    return loadConfig({ file, env: {} });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

it('sessions and events are configured by their keys, and unknown ones are refused', () => {
  expect(load('sessions: {ttl_seconds: 60, redis_url: "redis://127.0.0.1:6379"}\nevents: {names_max: 5}')).toMatchObject({
    sessions: { ttl_seconds: 60, enabled: true },
    events: { names_max: 5, enabled: true },
  });
  expect(() => load('sessions: {ttl: 60}')).toThrow('unknown key "sessions.ttl"');
  expect(() => load('sessions: {per_tenant_max: 0}')).toThrow('sessions.per_tenant_max');
  expect(() => load('sessions: {redis_url: "http://127.0.0.1"}')).toThrow('sessions.redis_url');
  expect(() => load('events: {names_max: many}')).toThrow('events.names_max');
});

it('all sessions have room for the largest one', () => {
  expect(() => load('sessions: {bytes_max: 4096, session_bytes_max: 4096}')).toThrow(
    'sessions.bytes_max is 4096, and must be at least twice session_bytes_max: 4096',
  );
});
