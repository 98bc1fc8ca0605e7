#!/usr/bin/env node
// Plain JavaScript, so that an old Node gets as far as saying what it needs, or as starting the right one.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major > 22 || (major === 22 && minor >= 19)) {
  const source = new URL('../src/main.ts', import.meta.url);
  await import(existsSync(source) ? source.href : new URL('../src/main.js', import.meta.url).href);
} else {
  process.exitCode = runOnPinnedNode();
}

function runOnPinnedNode() {
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  try {
    const manifest = createRequire(import.meta.url).resolve(`node-${platform}-${process.arch}/package.json`);
    const binary = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    return spawnSync(binary, process.argv.slice(1), { stdio: 'inherit' }).status ?? 1;
  } catch {
    process.stderr.write(`autoglm needs Node 22.19 or newer; this is ${process.versions.node}.\n`);
    return 1;
  }
}
