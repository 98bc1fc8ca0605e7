import { describe, expect, it } from 'vitest';
import { clientOf, seededRandom, startFlakyProxy, startServer, type Fate } from './support.ts';

const body = { model: 'default', messages: [{ role: 'user', content: '你好' }] } as const;
const answered = { role: 'assistant', content: '你好，世界！' };

async function onServer(url: string, id: string): Promise<unknown> {
  return ((await (await fetch(`${url}/v1/sessions/${id}`)).json()) as { body: unknown }).body;
}

describe.each(['json', 'msgpack'] as const)('a session, %s', (encoding) => {
  it('sends what changed, and takes answers in here as the server does', async () => {
    await using server = await startServer();
    const session = await server.client({ encoding }).sessions.create(body);
    await session.complete();
    expect(session.messages).toEqual([...body.messages, answered]);
    expect(await onServer(server.url, session.id)).toEqual(session.body);

    session.messages.push({ role: 'user', content: '再见' });
    session.body['temperature'] = 0;
    for await (const _ of await session.stream({ max_tokens: 2 }));
    expect(session.messages).toEqual([
      ...body.messages,
      answered,
      { role: 'user', content: '再见' },
      { role: 'assistant', content: '你好' },
    ]);
    expect(await onServer(server.url, session.id)).toEqual(session.body);
    expect(server.engine.requests.at(-1)).toMatchObject({ maxTokens: 2, sampling: { temperature: 0 } });

    session.messages.splice(1, 2);
    await session.sync();
    expect(await onServer(server.url, session.id)).toEqual(session.body);
    await session.delete();
    expect((await fetch(`${server.url}/v1/sessions/${session.id}`)).status).toBe(404);
    await session.delete();
  });

  it('leaves answers alone that are not wanted as turns', async () => {
    await using server = await startServer();
    const session = await server.client({ encoding }).sessions.create(body);
    await session.complete({ append: false });
    for await (const _ of await session.stream({ append: false }));
    expect(session.messages).toEqual(body.messages);
    expect(await onServer(server.url, session.id)).toEqual(body);
  });

  it('is opened again elsewhere, and what two make of it does not mix: the later one wins whole', async () => {
    await using server = await startServer();
    const first = await server.client({ encoding }).sessions.create(body);
    const second = await server.client({ encoding }).sessions.open(first.id);
    first.messages.push({ role: 'user', content: 'first' });
    await first.sync();
    second.messages.push({ role: 'user', content: 'second' });
    await second.complete();
    expect(await onServer(server.url, first.id)).toEqual({
      ...body,
      messages: [...body.messages, { role: 'user', content: 'second' }, answered],
    });
    expect(await onServer(server.url, first.id)).toEqual(second.body);
  });

  it('is made again with all it has where it has expired', async () => {
    await using server = await startServer();
    const session = await server.client({ encoding }).sessions.create(body);
    const { id } = session;
    await fetch(`${server.url}/v1/sessions/${id}`, { method: 'DELETE' });
    const answer = await session.complete();
    expect(answer.choices[0]?.message.content).toBe('你好，世界！');
    expect(session.id).not.toBe(id);
    expect(await onServer(server.url, session.id)).toEqual({ ...body, messages: [...body.messages, answered] });
  });

  it('has the right context over a connection that loses requests and answers', async () => {
    await using server = await startServer();
    const random = seededRandom(encoding === 'json' ? 1 : 2);
    const fateOf = (): Fate => {
      const drawn = random();
      return drawn < 0.25 ? 'cut-request' : drawn < 0.5 ? 'cut-answer' : 'pass';
    };
    await using proxy = await startFlakyProxy(server.url, fateOf);
    const retrying = { encoding, retriesMax: 100, random };
    let session = await clientOf(proxy.url, retrying).sessions.create(body);
    for (let turn = 0; turn < 15; turn += 1) {
      // A client of its own for each turn: what its retries may cost is bounded, and this test wants many.
      const before = structuredClone(session.messages);
      session.messages.push({ role: 'user', content: `turn ${turn}` });
      const wanted = structuredClone(session.messages);
      const result = await session.complete().catch((error: Error) => error);
      const asked = JSON.stringify(server.engine.requests.at(-1)?.prompt);
      if (result instanceof Error) expect(session.messages).toEqual(wanted);
      else {
        expect(asked).toContain(`turn ${turn}`);
        for (const { content } of before) expect(asked).toContain(content);
        expect(session.messages).toEqual([...wanted, answered]);
      }
      session = await clientOf(server.url, retrying)
        .sessions.open(session.id)
        .then(async (opened) => {
          opened.messages.splice(0, opened.messages.length, ...session.messages);
          await opened.sync();
          return clientOf(proxy.url, retrying)
            .sessions.open(opened.id)
            .catch(() => opened);
        });
      expect(await onServer(server.url, session.id)).toMatchObject({ messages: session.messages });
    }
  });
});

it('a turn of twenty costs a fraction of the whole', async () => {
  await using server = await startServer();
  await using proxy = await startFlakyProxy(server.url, () => 'pass');
  const messages = Array.from(
    { length: 20 },
    (_, index) =>
      ({
        role: index % 2 ? 'assistant' : 'user',
        content: `这是第${index}轮，我们谈了谈明天洗车的时间，还有国贸店离家有多远。`.repeat(3),
      }) as const,
  );
  const session = await clientOf(proxy.url).sessions.create({ model: 'default', messages });
  const before = proxy.receivedBytes;
  session.messages.push({ role: 'user', content: '那就三点吧。' });
  await session.sync();
  expect(proxy.receivedBytes - before).toBeLessThan(JSON.stringify(session.body).length * 0.5);
});
