import { status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import type { TierEvent } from '@open-autoglm/client/tiers';
import type { GatewayEvent } from '@open-autoglm/protocol';
import { LevelDoor } from '../../src/ingress/grpc/level-door.ts';
import { UpstreamDecisions } from '../../src/ingress/grpc/upstream-level.ts';
import { ConfigError } from '../../src/main.ts';
import { chatBody, createGate } from '../support.ts';
import { startGatewayWith } from '../upstream/support.ts';
import { RawConversation, startGrpcGateway } from './support.ts';

const levelsTo = (target: string, more: object = {}) => [
  { name: 'quick', max_tokens: 1 },
  { name: 'full', upstream: { target, level: 'answer', ...more } },
];

it('decides quickly here and better there, and each state goes there as it changes', async () => {
  await using region = await startGrpcGateway({}, { tokens: ['all', ' right'] });
  await using edge = await startGrpcGateway({ levels: levelsTo(region.target) }, { tokens: ['a', 'b'] });
  using conversation = new RawConversation(edge.target).hello().document(1, chatBody);
  expect(await conversation.final('quick', 1)).toMatchObject({ text: 'a', tier: 'edge' });
  const full = await conversation.final('full', 1);
  expect(full).toMatchObject({ text: 'all right' });
  expect(JSON.parse(String(full.answer))).toMatchObject({ object: 'chat.completion' });
  conversation.patch(2, [{ op: 'replace', path: '/messages/0/content', value: '再见' }]);
  expect(await conversation.final('full', 2)).toMatchObject({ text: 'all right' });
  expect(JSON.stringify(region.engine.requests.at(-1)?.prompt)).toContain('再见');
});

const keyOf = (name: string) => ({ authorization: `Bearer a-long-enough-key-of-${name}` });
const keys = (...names: string[]) => ({
  auth: { keys: names.map((name) => ({ name, key_env: name })) },
  env: Object.fromEntries(names.map((name) => [name, `a-long-enough-key-of-${name}`])),
});

it('callers who are apart here are apart there, whatever name they give', async () => {
  await using region = await startGrpcGateway({}, { tokens: ['x'] });
  await using edge = await startGrpcGateway({ levels: levelsTo(region.target) }, {}, keys('one', 'two'));
  const scopeOf = async (headers: Record<string, string>, body: object) => {
    using conversation = new RawConversation(edge.target, undefined, headers).hello('full').document(1, body);
    await conversation.final('full', 1);
    return region.engine.requests.at(-1)?.cacheScope;
  };
  const named = { ...chatBody, autoglm: { tenant: 'car' } };
  const scopes = [
    await scopeOf(keyOf('one'), named),
    await scopeOf(keyOf('two'), named),
    await scopeOf({ ...keyOf('one'), 'x-autoglm-tenant': 'bus' }, chatBody),
    await scopeOf({ ...keyOf('two'), 'x-autoglm-tenant': 'bus' }, chatBody),
    await scopeOf(keyOf('one'), chatBody),
    await scopeOf(keyOf('two'), chatBody),
  ];
  expect(new Set(scopes).size).toBe(6);
  expect(await scopeOf({ ...keyOf('one'), 'x-autoglm-tenant': 'bus' }, named)).toBe(scopes[0]);
});

it('whoever is decided for there is let in and counted here', async () => {
  await using region = await startGrpcGateway({}, { tokens: ['x'] });
  const { auth, env } = keys('one');
  await using closed = await startGrpcGateway(
    { levels: levelsTo(region.target) },
    {},
    { auth: { keys: auth.keys.map((key) => ({ ...key, models: ['another'] })) }, env },
  );
  using stranger = new RawConversation(closed.target, undefined, keyOf('one')).hello('full').document(1, chatBody);
  expect(await stranger.problem()).toMatchObject({ level: 'full', code: 'permission_denied', param: 'model' });
  expect(region.engine.requests).toHaveLength(0);
  await using counting = await startGrpcGateway(
    { levels: levelsTo(region.target) },
    {},
    { auth, env, limits: { key: { requests_per_minute: 1, tokens_per_minute: 1000 } } },
  );
  using conversation = new RawConversation(counting.target, undefined, keyOf('one')).hello('full').document(1, chatBody);
  await conversation.final('full', 1);
  conversation.patch(2, [{ op: 'replace', path: '/messages/0/content', value: 'more' }]);
  expect(await conversation.problem()).toMatchObject({ stateVersion: 2, level: 'full', code: 'rate_limit_exceeded', retryable: true });
  expect(region.engine.requests).toHaveLength(1);
});

it('is no outage where this gateway is refused there', async () => {
  await using region = await startGrpcGateway({}, {}, keys('edge'));
  await using edge = await startGrpcGateway({ levels: levelsTo(region.target) });
  using conversation = new RawConversation(edge.target).hello('full').document(1, chatBody);
  expect(await conversation.problem()).toMatchObject({ level: 'full', code: 'engine_failed', retryable: false });
});

it('who was refused waits before the next conversation, longer each time, and says so once', () => {
  let nowMs = 0;
  const told: string[] = [];
  const door = new LevelDoor(
    'full',
    (level, reason) => told.push(`${level}: ${reason}`),
    () => nowMs,
  );
  door.enter();
  expect(door.lost(status.UNAVAILABLE, 'cut')).toMatchObject({ code: 'upstream_unreachable' });
  door.enter();
  expect(door.lost(status.RESOURCE_EXHAUSTED, 'full')).toMatchObject({ code: 'engine_unavailable', retryable: true });
  expect(() => door.enter()).toThrow('refuses: full');
  nowMs = 1000;
  door.enter();
  expect(door.lost(status.UNAUTHENTICATED, 'no key')).toMatchObject({ code: 'engine_failed', retryable: false });
  nowMs = 2999;
  expect(() => door.enter()).toThrow('refuses: no key');
  nowMs = 3000;
  door.enter();
  door.entered();
  expect(told).toEqual(['full: full']);
  door.enter();
  door.lost(status.UNAUTHENTICATED, 'no key');
  expect(told).toHaveLength(2);
});

it('its time is told as what it was spent on', async () => {
  const spent: unknown[] = [];
  const emit = (event: GatewayEvent) => void (event.type === 'segment-end' && spent.push(event.reason));
  const decide = async (happens: (on: (event: TierEvent) => void, leaving: AbortController) => void) => {
    const leaving = new AbortController();
    const decisions = new UpstreamDecisions('full', new LevelDoor('full', () => {}), (on) => ({
      update: () => (happens(on, leaving), 1),
      close() {},
    }));
    await decisions.decide({ tenant: '', signal: leaving.signal, emit }, chatBody, () => {}).catch(() => {});
  };
  await decide((on) =>
    queueMicrotask(() =>
      on({ type: 'problem', state: 1, level: 'answer', code: 'engine_failed', message: 'no', param: undefined, retryable: false }),
    ),
  );
  await decide((_, leaving) => queueMicrotask(() => leaving.abort(new Error('left'))));
  expect(spent).toEqual(['failed', 'left']);
});

it('what was begun there is let go of when the client has another state, and when it leaves', async () => {
  const gate = createGate();
  await using region = await startGrpcGateway(
    {},
    {
      tokens: ['all', ' right'],
      beforeToken: (index, { prompt }, signal) =>
        index === 1 && JSON.stringify(prompt).includes('slow')
          ? Promise.race([gate.passed, new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))])
          : undefined,
    },
  );
  await using edge = await startGrpcGateway({ levels: levelsTo(region.target) }, { tokens: ['a'] });
  const conversation = new RawConversation(edge.target)
    .hello('full')
    .document(1, { ...chatBody, messages: [{ role: 'user', content: 'slow' }] });
  await conversation.until((message) => ('decision' in message ? message : undefined));
  conversation.document(2, chatBody);
  expect(await conversation.final('full', 2)).toMatchObject({ text: 'all right' });
  expect(conversation.messages).toContainEqual({ retraction: { revision: 1, reason: 'the state has moved on' } });
  conversation.document(3, { ...chatBody, messages: [{ role: 'user', content: 'slow' }] });
  await conversation.until((message) => ('decision' in message && message.decision.stateVersion === 3 ? message : undefined));
  conversation[Symbol.dispose]();
  while (region.engine.runningCount > 0) await new Promise((resolve) => setImmediate(resolve));
});

it('says so where nobody is there, or the other one refuses', async () => {
  await using region = await startGrpcGateway({}, { tokens: ['x'] });
  await using edge = await startGrpcGateway({ levels: levelsTo(region.target) }, { tokens: ['a'] });
  using wrong = new RawConversation(edge.target).hello('full').document(1, { ...chatBody, temperature: 'hot' });
  expect(await wrong.problem()).toMatchObject({ level: 'full', code: 'invalid_value', param: 'temperature' });
  await region.gateway.drain();
  using alone = new RawConversation(edge.target).hello().document(1, chatBody);
  expect(await alone.final('quick', 1)).toMatchObject({ text: 'a' });
  expect(await alone.problem()).toMatchObject({ level: 'full', code: 'upstream_unreachable', retryable: true });
});

it('has a model that is there, unless the other gateway knows it', async () => {
  const start = (...levels: object[]) =>
    startGatewayWith({ engines: [{ kind: 'mock', model: 'm' }], grpc: { enabled: true, port: 0, levels } });
  await expect(start({ name: 'quick', model: 'm' }, { name: 'full', model: 'no-such-model' })).rejects.toThrow(
    'grpc.levels[1].model: The model "no-such-model" does not exist.',
  );
  await using _ = await start({ name: 'quick', model: 'm' }, { name: 'full', model: 'theirs', upstream: { target: '127.0.0.1:1' } });
});

it('is refused where the way there is open to all, or a file or a key is not there', async () => {
  const start = (upstream: object) =>
    startGatewayWith({ engines: [{ kind: 'mock', model: 'm' }], grpc: { enabled: true, port: 0, levels: [{ name: 'full', upstream }] } });
  await expect(start({ target: '10.0.0.1:8090' })).rejects.toThrow('grpc.levels has "full" without upstream.tls');
  await expect(start({ target: '10.0.0.1:8090', tls: { ca: 'nowhere.pem' } })).rejects.toThrow(ConfigError);
  await expect(start({ target: '10.0.0.1:8090', tls: { ca: 'a.pem', cert: 'b.pem' } })).rejects.toThrow(
    'only one of upstream.tls.cert and upstream.tls.key',
  );
  await expect(start({ target: '127.0.0.1:8090', api_key_env: 'NO_SUCH_KEY' })).rejects.toThrow(
    'the environment variable NO_SUCH_KEY is not set',
  );
});
