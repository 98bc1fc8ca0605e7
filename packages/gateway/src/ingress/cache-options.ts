import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError, type CacheWish } from '@open-autoglm/protocol';
import Type from 'typebox';
import { createValidator } from './validate.ts';

/** `autoglm.cache`. */
const wishSchema = Type.Object(
  {
    mode: Type.Optional(
      Type.Union([Type.Literal('auto'), Type.Literal('on'), Type.Literal('off'), Type.Literal('refresh'), Type.Null()], {
        title: '"auto", "on", "off" or "refresh"',
      }),
    ),
    ttl_seconds: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1, maximum: 2_592_000 }), Type.Null()], { title: 'an integer from 1 to 2592000' }),
    ),
  },
  { additionalProperties: false },
);
const validateWish = createValidator(wishSchema);

/** Its place in the body's schema. */
export const cacheFields = {
  cache: Type.Optional(Type.Union([Type.Object({}), Type.Null()], { title: 'an object with mode or ttl_seconds' })),
};

/**
 * What the body's `autoglm.cache` and the request's `cache-control` want together; of two, the one that wants less of the cache.
 * `no-store` is `off`, `no-cache` is `refresh`. Throws `invalid_value` or `unknown_parameter` by the field. Undefined: the request says
 * nothing.
 */
export function cacheWish(asked: object | null | undefined, headers: IncomingHttpHeaders): CacheWish | undefined {
  const control = headers['cache-control'];
  if (!asked && !control) return undefined;
  const { mode, ttl_seconds: ttlSeconds } = asked ? validateWish(asked, 'autoglm.cache') : {};
  const directives = control ? readDirectives(control) : undefined;
  const wish: CacheWish = {
    mode:
      directives?.isStored === false || mode === 'off'
        ? 'off'
        : directives?.isTaken === false || mode === 'refresh'
          ? 'refresh'
          : (mode ?? 'auto'),
    ...(ttlSeconds && { ttlSeconds }),
    ...directives?.bounds,
  };
  return wish;
}

interface Directives {
  isStored: boolean;
  isTaken: boolean;
  readonly bounds: { maxAgeSeconds?: number; minFreshSeconds?: number; onlyIfCached?: boolean };
}

/** RFC 9111, 5.2.1. Directives that are not known are passed over, as it wants; `max-stale` only allows what need not be done. */
function readDirectives(control: string): Directives {
  const directives: Directives = { isStored: true, isTaken: true, bounds: {} };
  for (const directive of control.split(',')) {
    const [name = '', value = ''] = directive.split('=', 2).map((text) => text.trim().toLowerCase());
    if (name === 'no-store') directives.isStored = false;
    else if (name === 'no-cache') directives.isTaken = false;
    else if (name === 'only-if-cached') directives.bounds.onlyIfCached = true;
    else if (name === 'max-age') directives.bounds.maxAgeSeconds = secondsOf(name, value);
    else if (name === 'min-fresh') directives.bounds.minFreshSeconds = secondsOf(name, value);
  }
  return directives;
}

function secondsOf(name: string, value: string): number {
  const text = value.replace(/^"(.*)"$/, '$1');
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new AutoglmError('invalid_value', `Invalid value for 'cache-control': ${name} must be a number of seconds.`, {
    param: 'cache-control',
  });
}
