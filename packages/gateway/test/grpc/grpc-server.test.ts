import { writeFileSync } from 'node:fs';
import { ChannelCredentials, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { chatBody, createGate, until } from '../support.ts';
import { hasOpenssl, makeCertificates, RawConversation, startGrpcGateway } from './support.ts';

const tokens = ['你', '好', '！'];

describe('gRPC between tiers', () => {
  it('tells a decision as it comes, and whole at its end, as the HTTP API would', async () => {
    await using server = await startGrpcGateway({}, { tokens });
    using conversation = new RawConversation(server.target).hello().document(1, chatBody);
    const decision = await conversation.final('answer', 1);
    expect(decision).toMatchObject({ text: '你好！', revision: 1, supersedes: 0, tier: 'edge', engine: 'mock' });
    const answer = JSON.parse(String(decision.answer));
    expect(answer).toMatchObject({
      object: 'chat.completion',
      choices: [{ message: { content: '你好！' }, finish_reason: 'stop' }],
      usage: { completion_tokens: 3 },
    });
    const deltas = conversation.messages.flatMap((message) =>
      'decision' in message && message.decision.delta ? [message.decision.delta] : [],
    );
    expect(deltas.join('')).toBe('你好！');
  });

  it('decides anew when a patch changes the state, and lets go of the engine at once', async () => {
    const gate = createGate();
    await using server = await startGrpcGateway(
      {},
      {
        tokens,
        beforeToken: (index, { prompt }) =>
          index === 1 && 'segments' in prompt && prompt.segments.some(({ text }) => text.includes('slow')) ? gate.passed : undefined,
      },
    );
    using conversation = new RawConversation(server.target)
      .hello()
      .document(1, { ...chatBody, messages: [{ role: 'user', content: 'slow' }] });
    await conversation.until((message) => ('decision' in message ? message : undefined));
    conversation.patch(2, [{ op: 'replace', path: '/messages/0/content', value: 'quick' }]);
    expect(await conversation.final('answer', 2)).toMatchObject({ revision: 2, supersedes: 0 });
    expect(conversation.messages).toContainEqual({ retraction: { revision: 1, reason: 'the state has moved on' } });
    expect(server.engine.runningCount).toBe(0);
    gate.open();
  });

  it('asks each level its own model and no more tokens than it may have', async () => {
    const levels = [{ name: 'quick', max_tokens: 1 }, { name: 'full' }];
    await using server = await startGrpcGateway({ levels }, { tokens });
    using conversation = new RawConversation(server.target).hello().document(1, { ...chatBody, max_completion_tokens: 2 });
    expect(await conversation.final('full', 1)).toMatchObject({ text: '你好' });
    expect(server.engine.requests.map(({ maxTokens }) => maxTokens).sort()).toEqual([1, 2]);
    for (const [version, limit] of [
      [2, { max_completion_tokens: 2 }],
      [3, { max_completion_tokens: null }],
    ] as const) {
      conversation.document(version, { ...chatBody, ...limit });
      await conversation.final('full', version);
    }
    expect(
      server.engine.requests
        .map(({ maxTokens }) => maxTokens)
        .slice(2)
        .sort(),
    ).toEqual([1, 1, 2, undefined]);
    conversation.document(4, { ...chatBody, max_completion_tokens: '2' });
    expect(await conversation.problem()).toMatchObject({ code: 'invalid_value', param: 'max_completion_tokens' });
  });

  it('names the field of a state that is no chat, and goes on', async () => {
    await using server = await startGrpcGateway({}, { tokens });
    using conversation = new RawConversation(server.target).hello().document(1, { ...chatBody, temperature: 'hot' });
    expect(await conversation.problem()).toMatchObject({ stateVersion: 1, level: 'answer', code: 'invalid_value', param: 'temperature' });
    conversation.document(2, chatBody);
    expect(await conversation.final('answer', 2)).toMatchObject({ text: '你好！' });
  });

  it('keeps tenants apart as HTTP does', async () => {
    await using server = await startGrpcGateway({}, { tokens });
    using one = new RawConversation(server.target, undefined, { 'x-autoglm-tenant': 'one' }).hello().document(1, chatBody);
    await one.final('answer', 1);
    using two = new RawConversation(server.target, undefined, { 'x-autoglm-tenant': 'two' }).hello().document(1, chatBody);
    await two.final('answer', 1);
    const [first, second] = server.engine.requests.map(({ cacheScope }) => cacheScope);
    expect(first).not.toBe(second);
  });

  it('lets nobody in without a key, where keys are asked for', async () => {
    await using server = await startGrpcGateway(
      {},
      { tokens },
      { auth: { keys: [{ name: 'car', key_env: 'CAR_KEY' }] }, env: { CAR_KEY: 'a-long-enough-key-for-a-car' } },
    );
    using nobody = new RawConversation(server.target).hello();
    expect(await nobody.ended).toMatchObject({ code: status.UNAUTHENTICATED });
    using car = new RawConversation(server.target, undefined, { authorization: 'Bearer a-long-enough-key-for-a-car' })
      .hello()
      .document(1, chatBody);
    expect(await car.final('answer', 1)).toMatchObject({ text: '你好！' });
  });

  it('ends a conversation that does not keep to the protocol, or names no level, and says why', async () => {
    await using server = await startGrpcGateway();
    using early = new RawConversation(server.target).document(1, chatBody);
    expect(await early.ended).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'The client has to say hello first.' });
    using unknown = new RawConversation(server.target).hello('best');
    expect(await unknown.ended).toMatchObject({ code: status.INVALID_ARGUMENT, details: 'There is no level "best"; there are answer.' });
    using empty = new RawConversation(server.target);
    empty.call.write({});
    expect(await empty.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('has room for so many conversations', async () => {
    await using server = await startGrpcGateway({ conversations_max: 1 });
    using first = new RawConversation(server.target).hello();
    await first.until((message) => ('welcome' in message ? message : undefined));
    using second = new RawConversation(server.target).hello();
    expect(await second.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    first.call.end();
    expect(await first.ended).toBeUndefined();
    using third = new RawConversation(server.target).hello();
    await third.until((message) => ('welcome' in message ? message : undefined));
  });

  it('counts a conversation until its client has read it to the end, and resets one that never does', async () => {
    // More than a client buffers of its own accord (16 messages, and a window of HTTP/2), and no more than the server may still have to
    // send.
    await using server = await startGrpcGateway(
      { conversations_max: 1, idle_timeout_ms: 1500 },
      { tokens: Array.from({ length: 26 }, () => 'x'.repeat(20_000)) },
    );
    using deaf = new RawConversation(server.target).hello().document(1, chatBody);
    await deaf.until((message) => ('welcome' in message ? message : undefined));
    deaf.call.pause();
    deaf.call.end();
    await until(() => server.engine.requests.length === 1 && server.engine.runningCount === 0);
    for (let attempt = 0; attempt < 5; attempt += 1) {
      using other = new RawConversation(server.target).hello();
      expect(await other.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    }
    await until(async () => {
      using other = new RawConversation(server.target).hello();
      return (await Promise.race([other.ended, other.until((message) => ('welcome' in message ? 'welcome' : undefined))])) === 'welcome';
    });
    deaf.call.resume();
    expect(await deaf.ended).toMatchObject({ code: status.CANCELLED });
  });

  it('frees the engine when the client leaves in the middle', async () => {
    const gate = createGate();
    await using server = await startGrpcGateway(
      {},
      {
        tokens,
        beforeToken: (index, _, signal) =>
          index === 1
            ? new Promise<void>((resolve) =>
                signal.addEventListener('abort', () => {
                  gate.open();
                  resolve();
                }),
              )
            : undefined,
      },
    );
    const conversation = new RawConversation(server.target).hello().document(1, chatBody);
    await conversation.until((message) => ('decision' in message ? message : undefined));
    conversation[Symbol.dispose]();
    await gate.passed;
  });

  it('finishes what was begun when the client has said everything', async () => {
    await using server = await startGrpcGateway({}, { tokens });
    using conversation = new RawConversation(server.target).hello().document(1, chatBody);
    conversation.call.end();
    expect(await conversation.ended).toBeUndefined();
    expect(await conversation.final('answer', 1)).toMatchObject({ text: '你好！' });
  });

  it('ends conversations when the gateway drains', async () => {
    const server = await startGrpcGateway({}, { tokens });
    using conversation = new RawConversation(server.target).hello();
    await conversation.until((message) => ('welcome' in message ? message : undefined));
    await server.gateway.drain();
    await conversation.ended;
  });
});

describe.skipIf(!hasOpenssl())('mutual TLS', () => {
  it('lets in who shows a certificate of the authority, and nobody else', async () => {
    await using certificates = await makeCertificates();
    const tls = { cert: certificates.file('server.pem'), key: certificates.file('server.key'), client_ca: certificates.file('ca.pem') };
    await using server = await startGrpcGateway({ tls }, { tokens });
    const target = server.target.replace('127.0.0.1', 'localhost');
    const authority = await certificates.read('ca.pem');
    using known = new RawConversation(
      target,
      ChannelCredentials.createSsl(authority, await certificates.read('client.key'), await certificates.read('client.pem')),
    )
      .hello()
      .document(1, chatBody);
    expect(await known.final('answer', 1)).toMatchObject({ text: '你好！' });
    using stranger = new RawConversation(
      target,
      ChannelCredentials.createSsl(authority, await certificates.read('stranger.key'), await certificates.read('stranger.pem')),
    ).hello();
    expect(await stranger.ended).toMatchObject({ code: status.UNAVAILABLE });
    using nobody = new RawConversation(target, ChannelCredentials.createSsl(authority)).hello();
    expect(await nobody.ended).toMatchObject({ code: status.UNAVAILABLE });
    using plain = new RawConversation(target).hello();
    expect(await plain.ended).toMatchObject({ code: status.UNAVAILABLE });
  });

  it('says at the start which certificate nobody will take, and since when', async () => {
    await using certificates = await makeCertificates();
    const [good, expired, key, ca] = ['server.pem', 'expired.pem', 'server.key', 'ca.pem'].map((name) => certificates.file(name)) as [
      string,
      string,
      string,
      string,
    ];
    const notices: string[] = [];
    const upstream = (cert: string) => [{ name: 'far', upstream: { target: 'localhost:1', tls: { ca, cert, key } } }];
    for (const cert of [good, expired]) {
      await using _server = await startGrpcGateway(
        { tls: { cert, key }, levels: upstream(cert) },
        { tokens },
        { onNotice: (notice) => notices.push(notice) },
      );
    }
    const problem = expect.stringMatching(
      /: the certificate \S+expired\.pem is expired since \d{4}-\d\d-\d\dT\S+Z\. Peers that check it will not connect\.$/,
    );
    expect(notices).toEqual([problem, problem]);
    expect(notices.map((notice) => notice.slice(0, notice.indexOf(': the certificate')))).toEqual([
      'grpc.levels: the upstream.tls.cert of far',
      'grpc.tls.cert',
    ]);
  });

  it('says at the start of an authority that is expired, and which of several', async () => {
    await using certificates = await makeCertificates();
    const [cert, key, ca, expired] = ['server.pem', 'server.key', 'ca.pem', 'expired.pem'].map((name) => certificates.file(name)) as [
      string,
      string,
      string,
      string,
    ];
    const both = certificates.file('both.pem');
    writeFileSync(both, Buffer.concat([await certificates.read('ca.pem'), await certificates.read('expired.pem')]));
    const notices: string[] = [];
    const upstream = (authority: string) => [{ name: 'far', upstream: { target: 'localhost:1', tls: { ca: authority } } }];
    for (const authority of [ca, expired, both]) {
      await using _server = await startGrpcGateway(
        { tls: { cert, key, client_ca: authority }, levels: upstream(authority) },
        { tokens },
        { onNotice: (notice) => notices.push(notice.replace(/\d{4}-\S+Z/, 'DATE')) },
      );
    }
    const consequence = 'is expired since DATE. Peers whose certificates it has signed are refused.';
    const keys = ['grpc.levels: the upstream.tls.ca of far', 'grpc.tls.client_ca'];
    expect(notices).toEqual([
      ...keys.map((of) => `${of}: the certificate ${expired} ${consequence}`),
      ...keys.map((of) => `${of}: certificate 2 of 2 in ${both} ${consequence}`),
    ]);
  });

  it('is refused at the start where a file is not what it should be, by the name of its key', async () => {
    await using certificates = await makeCertificates();
    const [cert, key, ca, other, garbage] = ['server.pem', 'server.key', 'ca.pem', 'client.key', 'server.csr'].map((name) =>
      certificates.file(name),
    ) as [string, string, string, string, string];
    const start = (tls: { cert: string; key: string; client_ca?: string }) => startGrpcGateway({ tls });
    await expect(start({ cert: 'nowhere.pem', key })).rejects.toThrow(/^grpc\.tls\.cert: ENOENT/);
    await expect(start({ cert: garbage, key })).rejects.toThrow(/^grpc\.tls\.cert: \S+server\.csr holds no certificate in PEM\.$/);
    await expect(start({ cert, key: garbage })).rejects.toThrow(/^grpc\.tls\.key: \S+server\.csr cannot be used/);
    await expect(start({ cert, key: other })).rejects.toThrow(
      /^grpc\.tls\.key: \S+client\.key is not the key of the certificate beside it\.$/,
    );
    await expect(start({ cert, key, client_ca: garbage })).rejects.toThrow(/^grpc\.tls\.client_ca: \S+ holds no certificate/);
    const upstream = (tls: { ca: string; cert?: string; key?: string }) =>
      startGrpcGateway({ levels: [{ name: 'far', upstream: { target: 'localhost:1', tls } }] });
    await expect(upstream({ ca: garbage })).rejects.toThrow(/^grpc\.levels: the upstream\.tls\.ca of far: \S+ holds no certificate/);
    await expect(upstream({ ca, cert, key: other })).rejects.toThrow(/^grpc\.levels: the upstream\.tls\.key of far: \S+ is not the key/);
  });
});

it('says where nobody can be listened to', async () => {
  await using first = await startGrpcGateway({}, { tokens });
  await expect(startGrpcGateway({ port: first.gateway.grpcPort as number })).rejects.toThrow(
    /^grpc\.port: nobody can be listened to on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
  );
});
