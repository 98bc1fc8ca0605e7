import { expect, it } from 'vitest';
import { ConfigError } from '../../src/main.ts';
import { chatBody, createGate } from '../support.ts';
import { startGatewayWith } from '../upstream/support.ts';
import { RawConversation, startGrpcGateway } from './support.ts';

const levelsTo = (target: string, more: object = {}) => [{ name: 'quick', max_tokens: 1 }, { name: 'full', upstream: { target, level: 'answer', ...more } }];

it('decides quickly here and better there, and each state goes there as it changes', async () => {
  await using region = await startGrpcGateway({}, { tokens: ['all', ' right'] });
  await using edge = await startGrpcGateway({ levels: levelsTo(region.target) }, { tokens: ['a', 'b'] });
  using conversation = new RawConversation(edge.target, undefined, { 'x-autoglm-tenant': 'car' }).hello().document(1, chatBody);
  expect(await conversation.final('quick', 1)).toMatchObject({ text: 'a', tier: 'edge' });
  const full = await conversation.final('full', 1);
  expect(full).toMatchObject({ text: 'all right' });
  expect(JSON.parse(String(full.answer))).toMatchObject({ object: 'chat.completion' });
  conversation.patch(2, [{ op: 'replace', path: '/messages/0/content', value: '再见' }]);
  expect(await conversation.final('full', 2)).toMatchObject({ text: 'all right' });
  expect(JSON.stringify(region.engine.requests.at(-1)?.prompt)).toContain('再见');
  expect(region.engine.requests.at(-1)?.cacheScope).not.toBe(undefined);
});

it('what was begun there is let go of when the client has another state, and when it leaves', async () => {
  const gate = createGate();
  await using region = await startGrpcGateway({}, { tokens: ['all', ' right'], beforeToken: (index, { prompt }, signal) => (index === 1 && JSON.stringify(prompt).includes('slow') ? Promise.race([gate.passed, new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))]) : undefined) });
  await using edge = await startGrpcGateway({ levels: levelsTo(region.target) }, { tokens: ['a'] });
  const conversation = new RawConversation(edge.target).hello('full').document(1, { ...chatBody, messages: [{ role: 'user', content: 'slow' }] });
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

it('is refused where the way there is open to all, or a file or a key is not there', async () => {
  const start = (upstream: object) => startGatewayWith({ engines: [{ kind: 'mock', model: 'm' }], grpc: { enabled: true, port: 0, levels: [{ name: 'full', upstream }] } });
  await expect(start({ target: '10.0.0.1:8090' })).rejects.toThrow('grpc.levels has "full" without upstream.tls');
  await expect(start({ target: '10.0.0.1:8090', tls: { ca: 'nowhere.pem' } })).rejects.toThrow(ConfigError);
  await expect(start({ target: '10.0.0.1:8090', tls: { ca: 'a.pem', cert: 'b.pem' } })).rejects.toThrow('only one of upstream.tls.cert and upstream.tls.key');
  await expect(start({ target: '127.0.0.1:8090', api_key_env: 'NO_SUCH_KEY' })).rejects.toThrow('the environment variable NO_SUCH_KEY is not set');
});
