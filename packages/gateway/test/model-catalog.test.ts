import { expect, it } from 'vitest';
import { createCatalog } from '../src/common/model-catalog.ts';
import { promptReplica } from '../src/engines/prompt-replica.ts';
import { createMockEngine } from '../src/main.ts';

it('knows the model of an engine that was started again as it is now', async () => {
  const engine = createMockEngine();
  const before = await engine.ready();
  let info = before;
  const replica = promptReplica({ ...engine, name: engine.name, status: { state: 'ready', detail: '' }, ready: async () => info });
  const catalog = createCatalog([{ name: 'default', targets: [{ replica, tier: 'edge', weight: 1, maxOutstanding: 1 }] }], 1000);
  const { signal } = new AbortController();
  expect(await catalog.rendering('default', signal)).toBe(before);
  const { fingerprint } = catalog.identity('default') ?? {};
  info = { ...before, weightsFingerprint: 'another', chatTemplate: '' };
  expect(await catalog.rendering('default', signal)).toBe(info);
  expect(catalog.identity('default')?.fingerprint).not.toBe(fingerprint);
});
