import { homedir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { defaultHome } from '../../src/index.ts';

it.each([
  [{}, path.join(homedir(), '.cache', 'open-autoglm')],
  [{ XDG_CACHE_HOME: '/var/cache/me' }, '/var/cache/me/open-autoglm'],
  [{ XDG_CACHE_HOME: 'relative' }, path.join(homedir(), '.cache', 'open-autoglm')],
  [{ XDG_CACHE_HOME: '/var/cache/me', AUTOGLM_HOME: '/models' }, '/models'],
])('with %j, converted models are kept in %s', (env, home) => {
  expect(defaultHome(env)).toBe(home);
});
