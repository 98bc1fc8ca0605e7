import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import type { PinnedPackage } from '../../src/models/npm-packages.ts';

const run = promisify(execFile);

export interface TestRegistry {
  readonly url: string;
  /** Paths asked for. */
  readonly requests: string[];
  publish(name: string, files: Readonly<Record<string, Uint8Array>>): Promise<PinnedPackage>;
  /** Serves other bytes than were published. */
  damage(name: string): void;
  close(): void;
}

/** A package registry on the loopback, of packages that npm itself packs. */
export async function startRegistry(folder: string): Promise<TestRegistry> {
  const tarballs = new Map<string, { readonly pinned: PinnedPackage; bytes: Buffer }>();
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    requests.push(url);
    const entry = tarballs.get(url.split('/')[1] ?? '');
    if (!entry) response.writeHead(404).end('{}');
    else if (url.endsWith('.tgz')) response.end(entry.bytes);
    else response.setHeader('content-type', 'application/json').end(JSON.stringify(packument(entry.pinned, origin)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: origin,
    requests,
    async publish(name, files) {
      const source = path.join(folder, 'sources', name);
      await mkdir(source, { recursive: true });
      const version = '1.2.3';
      await writeFile(path.join(source, 'package.json'), JSON.stringify({ name, version, scripts: { install: 'exit 1' } }));
      for (const [file, bytes] of Object.entries(files)) await writeFile(path.join(source, file), bytes);
      await run(
        'npm',
        ['pack', '--silent', '--no-update-notifier', '--cache', path.join(folder, 'pack-cache'), '--pack-destination', folder],
        { cwd: source },
      );
      const tarball = path.join(folder, `${name}-${version}.tgz`);
      const bytes = await readFile(tarball);
      const unpackedBytes = Object.values(files).reduce((sum, file) => sum + file.length, 0);
      const integrity = `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
      const pinned = { name, version, integrity, packedBytes: (await stat(tarball)).size, unpackedBytes };
      tarballs.set(name, { pinned, bytes });
      return pinned;
    },
    damage(name) {
      const entry = tarballs.get(name);
      if (entry) entry.bytes = Buffer.concat([entry.bytes, Buffer.alloc(512)]);
    },
    close: () => server.close(),
  };
}

function packument({ name, version }: PinnedPackage, origin: string): object {
  const dist = { tarball: `${origin}/${name}/-/${name}-${version}.tgz` };
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { name, version, dist } } };
}
