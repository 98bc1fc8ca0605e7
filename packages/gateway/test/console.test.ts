import { describe, expect, it, vi } from 'vitest';
import { startTestServer } from './support.ts';

describe('the console', () => {
  it('is served with a strict policy, its TypeScript as JavaScript, and nothing else of its package', async () => {
    await using server = await startTestServer();
    const warn = vi.spyOn(process, 'emitWarning');
    const page = await fetch(server.url);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
    const script = await fetch(`${server.url}/assets/main.ts`);
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(await script.text()).not.toMatch(/^import type /m);
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
    for (const path of ['/package.json', '/assets/../package.json', '/assets/%2e%2e/package.json', '/toString', '/assets/']) {
      expect((await fetch(server.url + path)).status).toBe(404);
    }
    expect((await fetch(server.url, { method: 'DELETE' })).status).toBe(405);
  });
});
