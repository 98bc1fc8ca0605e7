import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createGate, until } from '../support.ts';
import { addTurn, chat, jsonPatch, mergePatch, startSessionServer } from './support.ts';

interface Answer {
  readonly choices: readonly { readonly message: { readonly content: string } }[];
  readonly autoglm: { readonly session?: { readonly appended: boolean; readonly etag?: string; readonly reason?: string } };
}

describe('a session', () => {
  it('is made, read, changed, asked and ended', async () => {
    await using server = await startSessionServer();
    const created = await server.request('POST', '/v1/sessions', chat);
    expect(created.status).toBe(201);
    const { id } = (await created.json()) as { id: string };
    const path = `/v1/sessions/${id}`;
    expect(created.headers.get('location')).toBe(path);
    const first = created.headers.get('etag') as string;

    const read = await server.request('GET', path);
    expect(await read.json()).toMatchObject({ id, object: 'session', body: chat });
    expect(read.headers.get('etag')).toBe(first);
    expect((await server.request('GET', path, undefined, { 'if-none-match': first })).status).toBe(304);

    const patched = await server.request('PATCH', path, [addTurn('您好', 'assistant'), addTurn('再见')], jsonPatch(first));
    expect(patched.status).toBe(204);
    const second = patched.headers.get('etag') as string;
    expect(second).not.toBe(first);

    const answered = await server.request('POST', `${path}/completions`, { max_tokens: 2 }, { 'if-match': second });
    expect(answered.status).toBe(200);
    expect(answered.headers.get('etag')).toBe(second);
    expect(((await answered.json()) as Answer).choices[0]?.message.content).toBe('你好');
    const [asked] = server.engine.requests;
    expect(JSON.stringify(asked?.prompt)).toContain('再见');
    expect(asked).toMatchObject({ maxTokens: 2, sampling: { temperature: 0 } });

    expect((await server.request('DELETE', path)).status).toBe(204);
    expect((await server.request('GET', path)).status).toBe(404);
    expect(await (await server.request('POST', `${path}/completions`, {})).json()).toMatchObject({ error: { code: 'session_not_found' } });
  });

  it("is asked within the request's own bound, by whichever of its two names", async () => {
    await using server = await startSessionServer();
    const { path, etag } = await server.create();
    await server.request('PATCH', path, { max_tokens: 5 }, mergePatch(etag));
    const bounds = [{}, { max_completion_tokens: 2 }, { max_tokens: 3 }];
    for (const bound of bounds) expect((await server.request('POST', `${path}/completions`, bound)).status).toBe(200);
    expect(server.engine.requests.map(({ maxTokens }) => maxTokens)).toEqual([5, 2, 3]);
  });

  it('is changed by merge patches too', async () => {
    await using server = await startSessionServer();
    const { path, etag } = await server.create();
    const patched = await server.request('PATCH', path, { temperature: null, max_tokens: 3 }, mergePatch(etag));
    expect(patched.status).toBe(204);
    const { temperature: _gone, ...rest } = chat;
    expect(await (await server.request('GET', path)).json()).toMatchObject({ body: { ...rest, max_tokens: 3 } });
    expect(await (await server.request('GET', path)).json()).not.toHaveProperty('body.temperature');
  });

  it('streams, and takes its answer in as a turn when asked to', async () => {
    await using server = await startSessionServer();
    const { path, etag } = await server.create();
    const response = await server.request('POST', `${path}/completions`, { stream: true, autoglm: { append: true } });
    const events = (await response.text()).split('\n\n').filter((event) => event !== '');
    expect(response.headers.get('etag')).toBe(etag);
    expect(events.at(-1)).toBe('data: [DONE]');
    const last = JSON.parse((events.at(-2) as string).slice('data: '.length)) as Answer;
    expect(last.autoglm.session).toMatchObject({ appended: true });
    const read = await server.request('GET', path);
    expect(read.headers.get('etag')).toBe(last.autoglm.session?.etag);
    expect(await read.json()).toMatchObject({ body: { messages: [...chat.messages, { role: 'assistant', content: '你好，世界！' }] } });
  });

  it('takes a turn in one request: a patch, the question and the answer', async () => {
    await using server = await startSessionServer();
    const { path, etag } = await server.create();
    const body = { autoglm: { patch: [addTurn('再见')], append: true } };
    expect((await server.request('POST', `${path}/completions`, body)).status).toBe(428);
    const response = await server.request('POST', `${path}/completions`, body, { 'if-match': etag });
    const { autoglm } = (await response.json()) as Answer;
    expect(JSON.stringify(server.engine.requests.at(-1)?.prompt)).toContain('再见');
    expect([etag, autoglm.session?.etag]).not.toContain(response.headers.get('etag'));
    const read = await server.request('GET', path);
    expect(read.headers.get('etag')).toBe(autoglm.session?.etag);
    expect(await read.json()).toMatchObject({
      body: { messages: [...chat.messages, { role: 'user', content: '再见' }, { role: 'assistant', content: '你好，世界！' }] },
    });
    expect((await server.request('POST', `${path}/completions`, body, { 'if-match': etag })).status).toBe(412);
    const now = read.headers.get('etag') as string;
    for (const [patch, status] of [
      [[{ op: 'remove', path: '/x' }], 422],
      [[{ op: 'remove', path: '/messages' }], 400],
      ['x', 400],
    ] as const) {
      expect((await server.request('POST', `${path}/completions`, { autoglm: { patch } }, { 'if-match': now })).status).toBe(status);
    }
    expect((await server.request('GET', path)).headers.get('etag')).toBe(now);
    expect(server.engine.requests).toHaveLength(1);
  });

  it.each<[string, Record<string, unknown>]>([
    ['several choices to append', { n: 2 }],
    ['a value that no chat may have', { temperature: 7 }],
    ['a field that no chat has', { temprature: 1 }],
  ])('is not patched by a turn that is refused for %s', async (_, fields) => {
    await using server = await startSessionServer();
    const { path, etag } = await server.create();
    const patch = [addTurn('再见')];
    const refused = await server.request(
      'POST',
      `${path}/completions`,
      { ...fields, autoglm: { patch, append: true } },
      { 'if-match': etag },
    );
    expect([refused.status, refused.headers.get('etag')]).toEqual([400, null]);
    expect((await server.request('POST', `${path}/completions`, { autoglm: { patch, append: true } }, { 'if-match': etag })).status).toBe(
      200,
    );
  });

  it('does not take in an answer to what it no longer says', async () => {
    const gate = createGate();
    await using server = await startSessionServer({}, { beforeToken: (index) => (index === 1 ? gate.passed : undefined) });
    const { path, etag } = await server.create();
    const answering = server.request('POST', `${path}/completions`, { autoglm: { append: true } });
    await until(() => server.engine.runningCount === 1);
    expect((await server.request('PATCH', path, [addTurn('another')], jsonPatch(etag))).status).toBe(204);
    gate.open();
    const answer = (await (await answering).json()) as Answer;
    expect(answer.choices[0]?.message.content).toBe('你好，世界！');
    expect(answer.autoglm.session).toEqual({ id: path.split('/')[3], appended: false, reason: 'precondition_failed' });
    expect(((await (await server.request('GET', path)).json()) as { body: typeof chat }).body.messages).toHaveLength(3);
  });

  it('is its tenant’s alone', async () => {
    await using server = await startSessionServer();
    const mine = { authorization: 'Bearer a' };
    const { path, etag } = await server.create(chat, mine);
    const others: readonly Record<string, string>[] = [{}, { authorization: 'Bearer b' }, { ...mine, 'x-autoglm-tenant': 'x' }];
    for (const headers of others) {
      const answers = [
        await server.request('GET', path, undefined, headers),
        await server.request('PATCH', path, [addTurn('x')], { ...jsonPatch(etag), ...headers }),
        await server.request('POST', `${path}/completions`, {}, headers),
        await server.request('DELETE', path, undefined, headers),
      ];
      expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
    }
    expect((await server.request('GET', path, undefined, mine)).status).toBe(200);
  });

  it('of a tenant that was named in the body belongs to that name, whichever way it is named later', async () => {
    await using server = await startSessionServer();
    const { path } = await server.create({ ...chat, autoglm: { tenant: 'x', deadline_ms: 60_000 } });
    expect((await server.request('GET', path)).status).toBe(404);
    expect(await (await server.request('GET', path, undefined, { 'x-autoglm-tenant': 'x' })).json()).toMatchObject({
      body: { ...chat, autoglm: { deadline_ms: 60_000 } },
    });
    expect((await server.request('POST', `${path}/completions`, { autoglm: { tenant: 'x' } })).status).toBe(200);
  });

  it('starts anew for a client that changed it in between: every lost or reordered patch is a 412', async () => {
    await using server = await startSessionServer();
    const { path, etag } = await server.create();
    const second = (await server.request('PATCH', path, [addTurn('1')], jsonPatch(etag))).headers.get('etag') as string;
    for (const stale of [etag, '"another"', `W/${second}`]) {
      const refused = await server.request('PATCH', path, [addTurn('2')], jsonPatch(stale));
      expect(refused.status).toBe(412);
      expect(await refused.json()).toMatchObject({ error: { code: 'precondition_failed', param: 'if-match' } });
    }
    expect((await server.request('POST', `${path}/completions`, {}, { 'if-match': etag })).status).toBe(412);
    expect((await server.request('DELETE', path, undefined, { 'if-match': etag })).status).toBe(412);
    expect((await server.request('PATCH', path, [addTurn('2')], jsonPatch(second))).status).toBe(204);
  });

  it('is what the patches make that came from its own state, whatever of them is lost, repeated or comes late', async () => {
    await using server = await startSessionServer();
    const sent = fc.record({
      /** The states before that its sender knew as the last one: 0, the newest. */
      behind: fc.nat({ max: 3 }),
      operations: fc.array(fc.constantFrom<'add' | 'remove' | 'replace'>('add', 'remove', 'replace'), { minLength: 1, maxLength: 3 }),
      times: fc.nat({ max: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { maxLength: 10 }), async (network) => {
        const { path, etag } = await server.create();
        const etags = [etag];
        let messages: { role: string; content: string }[] = chat.messages;
        for (const [index, { behind, operations, times }] of network.entries()) {
          const from = etags.at(-1 - behind) ?? etag;
          const patch = operations.map((op, each) =>
            op === 'remove'
              ? { op: 'remove', path: '/messages/0' }
              : op === 'add'
                ? addTurn(`${index}.${each}`)
                : { op: 'replace', path: '/messages/0/content', value: `${index}.${each}` },
          );
          let next = messages;
          for (const [each, op] of operations.entries()) {
            if (op === 'remove') next = next.slice(1);
            else if (op === 'add') next = [...next, { role: 'user', content: `${index}.${each}` }];
            else next = next.map((message, place) => (place === 0 ? { ...message, content: `${index}.${each}` } : message));
          }
          // A chat must have a message at all times, and each operation something that it changes.
          const isPossible =
            operations.every(
              (op, each) =>
                op === 'add' ||
                messages.length +
                  operations.slice(0, each).filter((before) => before === 'add').length -
                  operations.slice(0, each).filter((before) => before === 'remove').length >
                  0,
            ) && next.length > 0;
          if (!isPossible) continue;
          // 0: lost on its way; 2: sent again by somebody who did not hear the answer.
          for (let time = 0; time < times; time += 1) {
            const response = await server.request('PATCH', path, patch, jsonPatch(from));
            const isCurrent = from === etags.at(-1);
            expect(response.status).toBe(isCurrent ? 204 : 412);
            if (!isCurrent) continue;
            messages = next;
            etags.push(response.headers.get('etag') as string);
          }
        }
        const seen = (await (await server.request('GET', path)).json()) as { body: { messages: unknown } };
        expect(seen.body.messages).toEqual(messages);
        expect(new Set(etags).size).toBe(etags.length);
        await server.request('DELETE', path);
      }),
      { numRuns: 40 },
    );
  });

  it('of many patches from one state takes one', async () => {
    await using server = await startSessionServer();
    const { path, etag } = await server.create();
    const patches = await Promise.all(
      Array.from({ length: 12 }, (_, index) => server.request('PATCH', path, [addTurn(String(index))], jsonPatch(etag))),
    );
    expect(patches.map(({ status }) => status).toSorted()).toEqual([204, ...Array.from({ length: 11 }, () => 412)]);
  });

  it.each<[string, unknown, (etag: string) => Record<string, string>, number, string | null]>([
    ['no If-Match', [addTurn('x')], () => jsonPatch(), 428, 'if-match'],
    ['If-Match: *', [addTurn('x')], () => jsonPatch('*'), 400, 'if-match'],
    ['a JSON body', [addTurn('x')], (etag) => ({ 'if-match': etag }), 415, null],
    ['no JSON', '[', jsonPatch, 400, null],
    ['no patch', { op: 'add' }, jsonPatch, 400, null],
    ['no such place', [{ op: 'remove', path: '/messages/9' }], jsonPatch, 422, '[0]'],
    ['a test that fails', [{ op: 'test', path: '/model', value: 'x' }], jsonPatch, 422, '[0]'],
    ['a bad operation', [addTurn('x'), { op: 'add', path: 7 }], jsonPatch, 400, '[1].path'],
    ['a prototype', [{ op: 'add', path: '/__proto__/x', value: 1 }], jsonPatch, 400, '[0].path'],
    ['a body that is no chat', [{ op: 'replace', path: '/messages/0/role', value: 'king' }], jsonPatch, 400, 'messages[0].role'],
    ['a field that no chat has', { nonsense: 1 }, mergePatch, 400, 'nonsense'],
    ['no messages', { messages: null }, mergePatch, 400, 'messages'],
    ['no object', [{ op: 'replace', path: '', value: [] }], jsonPatch, 400, null],
    ['a tenant', { autoglm: { tenant: 'x' } }, mergePatch, 400, 'autoglm.tenant'],
    [
      'half of a surrogate pair',
      '[{"op":"add","path":"/messages/-","value":{"role":"user","content":"\\ud800"}}]',
      jsonPatch,
      400,
      '[0].value.content',
    ],
  ])('is not changed by a patch with %s', async (_, patch, headers, status, param) => {
    await using server = await startSessionServer();
    const { path, etag } = await server.create();
    const refused = await server.request('PATCH', path, patch, headers(etag));
    expect([refused.status, ((await refused.json()) as { error: { param: unknown } }).error.param]).toEqual([status, param]);
    const read = await server.request('GET', path);
    expect(read.headers.get('etag')).toBe(etag);
    expect(await read.json()).toMatchObject({ body: chat });
  });

  it.each<[unknown, number, string | null]>([
    [{ messages: [] }, 400, 'messages'],
    [{ autoglm: { append: 'yes' } }, 400, 'autoglm.append'],
    [{ autoglm: { append: true }, n: 2 }, 400, 'autoglm.append'],
    [{ autoglm: { nonsense: 1 } }, 400, 'autoglm.nonsense'],
    [{ autoglm: [] }, 400, 'autoglm'],
    [{ temperature: 9 }, 400, 'temperature'],
    [[], 400, null],
  ])('is not asked with %j', async (body, status, param) => {
    await using server = await startSessionServer();
    const { path } = await server.create();
    const refused = await server.request('POST', `${path}/completions`, body);
    expect([refused.status, ((await refused.json()) as { error: { param: unknown } }).error.param]).toEqual([status, param]);
  });

  it('is refused beyond its bounds', async () => {
    await using server = await startSessionServer({ per_tenant_max: 1, session_bytes_max: 1024 });
    const large = { ...chat, messages: [{ role: 'user', content: '水'.repeat(400) }] };
    expect((await server.request('POST', '/v1/sessions', large)).status).toBe(413);
    const { path, etag } = await server.create();
    const many = await server.request('POST', '/v1/sessions', chat);
    expect(many.status).toBe(429);
    expect(many.headers.get('retry-after')).toBe('60');
    expect((await server.request('PATCH', path, [addTurn('x'.repeat(1024))], jsonPatch(etag))).status).toBe(413);
    const answer = (await (await server.request('POST', `${path}/completions`, {})).json()) as Answer;
    expect(answer.autoglm.session).toBeUndefined();
  });

  it('that an answer would make too large stays as it is, and the answer is given', async () => {
    await using server = await startSessionServer({ session_bytes_max: 1024 }, { tokens: ['x'.repeat(1024)] });
    const { path, etag } = await server.create();
    const answer = (await (await server.request('POST', `${path}/completions`, { autoglm: { append: true } })).json()) as Answer;
    expect(answer.choices[0]?.message.content).toHaveLength(1024);
    expect(answer.autoglm.session).toMatchObject({ appended: false, reason: 'payload_too_large', etag });
  });

  it('is not changed by an answer whose client has left', async () => {
    const gate = createGate();
    await using server = await startSessionServer({}, { beforeToken: (index) => (index === 1 ? gate.passed : undefined) });
    const { path, etag } = await server.create();
    const abort = new AbortController();
    const asking = fetch(`${server.url}${path}/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ autoglm: { append: true } }),
      signal: abort.signal,
    });
    await until(() => server.engine.runningCount === 1);
    abort.abort();
    await expect(asking).rejects.toThrow();
    await until(() => server.engine.runningCount === 0);
    gate.open();
    expect((await server.request('GET', path)).headers.get('etag')).toBe(etag);
  });

  it('is nowhere where sessions are off, and elsewhere only by its methods', async () => {
    await using off = await startSessionServer({ enabled: false });
    expect((await off.request('POST', '/v1/sessions', chat)).status).toBe(404);
    await using server = await startSessionServer();
    const refused = await server.request('PUT', '/v1/sessions/x', {});
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, PATCH, DELETE']);
    expect((await server.request('GET', '/v1/sessions')).status).toBe(405);
    expect((await server.request('GET', '/v1/sessions/x/y')).status).toBe(404);
  });
});
