/**
 * npm run build: publishable packages in packages/<name>/dist and apps/console/dist, ready for `npm pack`. `--no-check`: their types are
 * known to hold.
 */
import { execFileSync } from 'node:child_process';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';

interface Manifest {
  exports?: Record<string, string>;
  devDependencies?: unknown;
  private?: boolean;
  [key: string]: unknown;
}

const compiled = path.resolve('.cache/build');
/** Not beside the sources, where it would be taken for one of them. */
const settings = path.resolve('.cache/tsconfig.build.json');

await rm(compiled, { recursive: true, force: true });
await mkdir(path.dirname(settings), { recursive: true });
await writeFile(
  settings,
  JSON.stringify({
    extends: path.resolve('tsconfig.json'),
    compilerOptions: {
      noEmit: false,
      declaration: true,
      noCheck: process.argv.includes('--no-check'),
      outDir: compiled,
      rootDir: path.resolve('.'),
    },
    include: [path.resolve('packages/*/src')],
  }),
);
try {
  execFileSync(path.resolve('node_modules/.bin/tsc'), ['-p', settings], { stdio: 'inherit' });
} finally {
  await rm(settings);
}
for (const name of await readdir('packages')) {
  const target = await startPackage(`packages/${name}`);
  await cp(path.join(compiled, 'packages', name, 'src'), path.join(target, 'src'), { recursive: true });
  for (const folder of ['bin', 'proto', 'rules'])
    await cp(path.join('packages', name, folder), path.join(target, folder), { recursive: true }).catch(ignoreMissing);
}
await buildConsole(await startPackage('apps/console'));

/** An empty dist folder with the manifest that users get, the licence and a README. */
async function startPackage(folder: string): Promise<string> {
  const target = path.join(folder, 'dist');
  await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  const { devDependencies: _unpublished, ...manifest } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as Manifest;
  if (manifest.exports)
    manifest.exports = Object.fromEntries(Object.entries(manifest.exports).map(([name, file]) => [name, file.replace(/\.ts$/, '.js')]));
  await writeFile(path.join(target, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  await cp('LICENSE', path.join(target, 'LICENSE'));
  // A package that people install by itself has words of its own.
  await cp(path.join(folder, 'README.md'), path.join(target, 'README.md')).catch(async (error: NodeJS.ErrnoException) => {
    ignoreMissing(error);
    await cp('README.md', path.join(target, 'README.md'));
  });
  process.stdout.write(`built ${manifest['name'] as string} in ${target}\n`);
  return target;
}

/** URLs keep their names, so that the pages' imports need no change; the files behind them become JavaScript. */
async function buildConsole(target: string): Promise<void> {
  const files = JSON.parse(await readFile('apps/console/manifest.json', 'utf8')) as Record<string, string>;
  await mkdir(path.join(target, 'src'));
  const built: Record<string, string> = {};
  for (const [url, file] of Object.entries(files)) {
    const output = file.replace(/\.ts$/, '.js');
    const text = await readFile(path.join('apps/console', file), 'utf8');
    await writeFile(path.join(target, output), output === file ? text : stripTypeScriptTypes(text));
    built[url] = output;
  }
  await writeFile(path.join(target, 'manifest.json'), `${JSON.stringify(built, null, 2)}\n`);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
