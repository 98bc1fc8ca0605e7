import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRedactor, secretsOf } from '../../../src/observability/logs/redact.ts';

const { text, fields } = createRedactor();
/** What a secret may look like; long enough not to be in the text anyhow. */
const secret = fc.stringMatching(/^[A-Za-z0-9_.~+=-]{0,40}[A-Za-z0-9]{10}$/);
const around = fc.string({ maxLength: 30 });

/** Ways in which a secret gets into a text. */
const carriers: Readonly<Record<string, (secret: string) => string>> = {
  'an authorization header': (value) => `authorization: Bearer ${value}`,
  'a header of another scheme': (value) => `Proxy-Authorization: Custom ${value}`,
  'a scheme alone': (value) => `sent Bearer ${value} twice`,
  'basic credentials': (value) => `Basic ${value}`,
  'a cookie': (value) => `Cookie: a=1; session=${value}; b=2`,
  'a set-cookie': (value) => `set-cookie: ${value}; Path=/; HttpOnly`,
  'a query': (value) => `GET http://h/v1/models?a=1&api_key=${value}&b=2 failed`,
  'a token in a query': (value) => `/v1?access_token=${value}`,
  'a user and password in a URL': (value) => `redis://user:${value}@127.0.0.1:6379/0 is down`,
  'a user alone in a URL': (value) => `https://${value}@host/path`,
  'a JSON key': (value) => JSON.stringify({ apiKey: value }),
  'JSON in JSON': (value) => JSON.stringify({ body: JSON.stringify({ password: value }) }),
  'an assignment': (value) => `OPENAI_API_KEY=${value} npm start`,
  'an assignment with brackets in it': (value) => `password=[p{${value} failed`,
  'a password of several words': (value) => JSON.stringify({ password: `two words, ${value}` }),
  'a password with a quotation mark': (value) => JSON.stringify({ password: `a"; ${value}` }),
  'both, as JSON in JSON': (value) => JSON.stringify({ body: JSON.stringify({ passphrase: `a "b" ${value}` }) }),
  'a short name': (value) => `pwd='${value}' jwt=${value}`,
  'a private key': (value) => `-----BEGIN RSA PRIVATE KEY-----\n${value.replaceAll('-', '')}\n-----END RSA PRIVATE KEY-----`,
  "Google's form": (value) => `AIza${'x'.repeat(30)}${value.replaceAll(/[^\w-]/g, '')}`,
  "OpenAI's form": (value) => `key sk-${value.replaceAll(/[^\w-]/g, '')} is not valid`,
};

describe('texts', () => {
  for (const [name, carry] of Object.entries(carriers)) {
    it(`lose the secret of ${name}`, () => {
      fc.assert(
        fc.property(secret, around, around, (value, before, after) => {
          const tail = value.slice(-10);
          fc.pre(!before.includes(tail) && !after.includes(tail));
          expect(text(`${before} ${carry(value)} ${after}`)).not.toContain(tail);
        }),
      );
    });
  }

  it('lose known secrets wherever they are, one within another too', () => {
    const redactor = createRedactor(['hunter2-x', 'hunter2-x-long', 'abc']);
    expect(redactor.text('it was hunter2-x-long, not hunter2-x; abc stays')).toBe('it was [redacted], not [redacted]; abc stays');
  });

  it('keep what is no secret', () => {
    for (const plain of [
      'http://127.0.0.1:8080/v1/models?limit=3 is down',
      'The engine process ended.',
      'max_tokens must be at most 4096',
      '模型正在加载。',
    ])
      expect(text(plain)).toBe(plain);
  });

  it('are cut, and not in the middle of a secret', () => {
    expect(text('x'.repeat(100_000))).toHaveLength(16 * 1024 + 1);
    expect(text(`${'x '.repeat(8185)}Bearer ${'s'.repeat(1000)}`)).not.toContain('sss');
  });

  it('of any kind take time in proportion to their length', () => {
    const hostile = [
      'a://'.repeat(8000),
      'key '.repeat(8000),
      'authorization'.repeat(3000),
      `eyJ${'a'.repeat(30_000)}`,
      'eyJ-'.repeat(8000),
      'key="'.repeat(8000),
      `key=${'\\'.repeat(30_000)}`,
      '-----BEGIN PRIVATE KEY-----'.repeat(1000),
      'a+-.'.repeat(8000),
      `bearer${' '.repeat(30_000)}`,
    ];
    // Quadratic patterns would not end within the test's time.
    for (const value of hostile) for (let round = 0; round < 20; round += 1) text(value);
  });
});

describe('fields', () => {
  it('lose texts by their names, at every depth, and keep numbers', () => {
    fc.assert(
      fc.property(
        secret,
        fc.constantFrom('authorization', 'x-api-key', 'apiKey', 'Cookie', 'password', 'client_secret', 'refresh_token', 'private-key'),
        (value, name) => {
          expect(JSON.stringify(fields({ [name]: value, deep: [{ [name]: [value] }], prompt_tokens: 12 }))).not.toContain(value);
          expect(JSON.stringify(fields({ [name]: { value, more: [{ value }] } }))).not.toContain(value);
        },
      ),
    );
    expect(fields({ prompt_tokens: 12, engine: 'mock', none: undefined, nothing: null })).toEqual({
      prompt_tokens: 12,
      engine: 'mock',
      none: undefined,
      nothing: null,
    });
  });

  it('end somewhere', () => {
    const endless: Record<string, unknown> = {};
    endless['again'] = endless;
    expect(JSON.stringify(fields(endless)).length).toBeLessThan(200);
  });
});

it('secretsOf finds what a configuration keeps secret', () => {
  const config = {
    url: 'redis://user:pa%20ss@h/0?token=t0ken',
    traces: { headers: { 'x-team': 'team-key' } },
    list: [{ api_key_env: 'MY_VARIABLE' }, { password: 'pw' }],
    port: 1,
    path: 'default',
  };
  expect(secretsOf(config, { MY_VARIABLE: 'from-env' }).filter(Boolean)).toEqual([
    'pa%20ss',
    'pa ss',
    't0ken',
    'team-key',
    'from-env',
    'pw',
  ]);
  expect(secretsOf({ url: 'http://user:100%sure@h' }, {})).toEqual(['100%sure', '100%sure']);
});
