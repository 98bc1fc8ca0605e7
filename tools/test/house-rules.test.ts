import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const tracked = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { encoding: 'utf8' })
  .split('\0')
  .filter((file) => file !== '' && existsSync(file));
const read = (file: string) => readFileSync(file, 'utf8');
const sources = tracked.filter((file) => /^(packages|apps|bench|tools)\/.*\.(ts|mjs|js)$/.test(file) && !file.includes('/test/'));
const own = 'tools/test/house-rules.test.ts';
const linesMax = 500;

describe('house rules', () => {
  it('a file has one subject, and so not too many lines', () => {
    expect(sources.filter((file) => read(file).split('\n').length > linesMax)).toEqual([]);
  });

  it('libraries do not write to the console', () => {
    const libraries = sources.filter((file) => /^packages\/(protocol|engine|gateway)\/src\//.test(file));
    expect(libraries.filter((file) => /\bconsole\.(log|info|debug)\(/.test(read(file)))).toEqual([]);
  });

  it('a package finds its workers also where it was built', () => {
    const published = sources.filter((file) => /^packages\/[a-z]+\/src\//.test(file));
    expect(published.filter((file) => /new URL\('[^']*\.ts'/.test(read(file)))).toEqual([]);
  });

  it('nothing is left to do in the text', () => {
    expect(sources.filter((file) => /\b(TODO|FIXME|XXX)\b/.test(read(file)))).toEqual([]);
  });

  it('no file speaks of the machine it was made on, nor of where a package came from', () => {
    const texts = tracked.filter((file) => file !== own && !/\.(png|ico)$/.test(file));
    const machine = new RegExp(['"?/wo', 'rk/|/ho', 'me/[a-z]+/|regis', 'try\\.npm'].join(''));
    expect(texts.filter((file) => machine.test(read(file)))).toEqual([]);
    expect(read('package-lock.json')).not.toMatch(/"resolved": "https?:/);
  });

  it('every dependency has one exact version', () => {
    const manifests = tracked.filter((file) => file.endsWith('package.json'));
    const loose = manifests.flatMap((file) => {
      const manifest = JSON.parse(read(file)) as Record<string, Record<string, string> | undefined>;
      return ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
        Object.entries(manifest[kind] ?? {})
          .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
          .map(([name]) => `${file}: ${name}`),
      );
    });
    expect(loose).toEqual([]);
  });

  it('the README names every top-level folder', () => {
    const folders = new Set(
      tracked.filter((file) => file.includes('/') && !file.startsWith('.')).map((file) => file.split('/')[0] as string),
    );
    expect([...folders].filter((folder) => !read('README.md').includes(`${folder}/`))).toEqual([]);
    expect([...folders].filter((folder) => !read('README.zh-CN.md').includes(`${folder}/`))).toEqual([]);
  });
});
