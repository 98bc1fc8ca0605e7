import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/**
 * For vitest's `globalSetup`: what the test files and their processes put into the system's temporary folder is gone after the run, however
 * they ended.
 */
export default function setup(): () => void {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-test-'));
  // PostgreSQL does not run as root, and its folder is in this one.
  chmodSync(folder, 0o711);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder;
  return () => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  };
}
