import { execFileSync } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** Our packages by the names under which they are published. */
const packages = {
  '@open-autoglm/protocol': 'packages/protocol',
  '@open-autoglm/engine': 'packages/engine',
  '@open-autoglm/gateway': 'packages/gateway',
  '@open-autoglm/console': 'apps/console',
  '@open-autoglm/client': 'packages/client',
  autoglm: 'packages/cli',
};

describe('npm run build', () => {
  let folder: string;
  const node = (...args: string[]) => execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });

  beforeAll(async () => {
    // The check of types before the tests is that of these files, too.
    execFileSync(process.execPath, ['tools/build/main.ts', '--no-check'], { stdio: 'pipe' });
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-build-'));
    await linkOthers(path.resolve('node_modules'), path.join(folder, 'node_modules'));
    for (const [name, source] of Object.entries(packages))
      await cp(path.join(source, 'dist'), path.join(folder, 'node_modules', name), { recursive: true });
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('makes packages that plain Node imports', async () => {
    await writeFile(
      path.join(folder, 'use.mjs'),
      `
      import { errorTable } from '@open-autoglm/protocol';
      import { engineContract } from '@open-autoglm/protocol/contract';
      import { createClient } from '@open-autoglm/client';
      import { startEmbeddedEngine } from '@open-autoglm/engine';
      import { createMockEngine, defaultConfig, startGateway } from '@open-autoglm/gateway';
      const config = { ...defaultConfig, server: { ...defaultConfig.server, port: 0 } };
      const gateway = await startGateway({ config, engine: createMockEngine() });
      const pages = await Promise.all(['/', '/assets/main.ts'].map(async (page) => (await fetch(gateway.url + page)).status));
      const session = await createClient({ baseUrl: gateway.url + '/v1', encoding: 'msgpack' }).sessions.create({ model: 'default', messages: [{ role: 'user', content: 'x' }] });
      await session.complete();
      await gateway.drain();
      console.log(JSON.stringify([typeof errorTable, typeof engineContract, typeof startEmbeddedEngine, pages, session.messages.length]));
    `,
    );
    expect(JSON.parse(node('use.mjs'))).toEqual(['object', 'function', 'function', [200, 200], 2]);
  });

  it('makes a command that runs', () => {
    expect(node('node_modules/autoglm/bin/autoglm.js', '--help')).toContain('autoglm serve');
  });
});

/** Links what is not ours. */
async function linkOthers(from: string, to: string): Promise<void> {
  await mkdir(to);
  for (const name of await readdir(from)) {
    const source = path.join(from, name);
    if (name.startsWith('@') && name !== '@open-autoglm') await symlink(source, path.join(to, name));
    else if (!name.startsWith('@') && !name.startsWith('.') && !lstatSync(source).isSymbolicLink())
      await symlink(source, path.join(to, name));
  }
  await mkdir(path.join(to, '@open-autoglm'));
}
