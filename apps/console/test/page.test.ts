import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import manifest from '../manifest.json' with { type: 'json' };

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const keysIn = (source: string, pattern: RegExp) => [...source.matchAll(pattern)].map((match) => match[1]);

describe('the page', () => {
  it('is served with every source file, each under its own name', () => {
    const { '/': index, ...assets } = manifest;
    expect(index).toBe('src/index.html');
    const files = readdirSync(new URL('../src', import.meta.url)).filter((name) => name !== 'index.html');
    expect(assets).toEqual(Object.fromEntries(files.map((name) => [`/assets/${name}`, `src/${name}`])));
  });

  it('asks for nothing from elsewhere, and has nothing inline that the security policy would stop', () => {
    const html = read('src/index.html');
    expect(keysIn(html, /(?:src|href)="([^"]*)"/g).every((url) => url !== undefined && url in manifest)).toBe(true);
    expect(html).not.toMatch(/ style=| on\w+=|<style|<script(?! type="module" src=)/);
    expect(read('src/style.css')).not.toMatch(/url\(|@import/);
  });

  it('names only texts that exist', () => {
    const known = new Set(keysIn(read('src/language.ts'), /^ {2}(\w+): '/gm));
    const used = keysIn(read('src/index.html'), /data-(?:text|label|placeholder|hint)="(\w+)"/g);
    expect(used.filter((key) => key === undefined || !known.has(key))).toEqual([]);
  });
});
