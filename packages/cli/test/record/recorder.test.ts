import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ArrivalOrder, type Place } from '../../src/record/arrival-order.ts';
import { withoutSecrets } from '../../src/record/asked.ts';
import { Exchange } from '../../src/record/exchange.ts';
import { LineFile } from '../../src/record/line-file.ts';
import { promptText, shapePrompt } from '../../src/record/prompt-shape.ts';
import { post, startRecording, startUpstream } from './support.ts';

const answer = (text: string) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: text } }] })}\n\n`;
const usage = (prompt: number, completion: number) =>
  `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: prompt, completion_tokens: completion, prompt_tokens_details: { cached_tokens: 3 } } })}\n\n`;
const streaming = (text: string) =>
  startUpstream((message, response) => {
    message.resume().on('end', () => response.writeHead(200, { 'content-type': 'text/event-stream' }).end(text));
  });
const ask = (content: string) => ({
  model: 'm',
  stream: true,
  temperature: 0,
  max_tokens: 50,
  user: 'somebody@example.org',
  messages: [{ role: 'user', content }],
});

describe('what is held for a request', () => {
  it('counts the text of a stream, and lets go of all when it is given up', async () => {
    const exchange = new Exchange({ path: '/v1/chat/completions', atMs: 0, now: () => 0, keepsContents: true, key: Buffer.alloc(32) });
    const body = Buffer.from(JSON.stringify(ask('hello')));
    exchange.requestPiece(body);
    exchange.requestEnds();
    exchange.answerBegins(200, 'text/event-stream');
    exchange.answerPiece(Buffer.from(answer('x'.repeat(1000))));
    expect(exchange.heldBytes).toBe(body.length + 1000);
    exchange.giveUp();
    exchange.answerPiece(Buffer.from(answer('more')));
    expect(exchange.heldBytes).toBe(0);
    expect(await exchange.end(true)).toEqual({ unrecorded: 'too large' });
  });
});

describe('what is recorded', () => {
  it('counts what the server says, and says so; otherwise chunks', async () => {
    await using told = await streaming(`${answer('one two')}${answer(' three')}${usage(20, 7)}data: [DONE]\n\n`);
    await using untold = await streaming(`${answer('one two')}${answer(' three')}data: [DONE]\n\n`);
    await using first = await startRecording(told.url);
    await (await post(first.url, ask('hello'))).text();
    expect((await first.end()).lines).toMatchObject([
      {
        autoglm_trace: 1,
        path: '/v1/chat/completions',
        model: 'm',
        asked: { stream: true, temperature: 0, max_tokens: 50 },
        prompt: { tokens: 20, characters: 9 },
        output_tokens: 7,
        recorded: { status: 200, counted_by: 'usage', cached_tokens: 3 },
      },
    ]);
    await using second = await startRecording(untold.url);
    await (await post(second.url, ask('hello'))).text();
    const [line] = (await second.end()).lines;
    expect(line).toMatchObject({ output_tokens: 2, recorded: { counted_by: 'chunks' } });
    expect(line?.prompt).not.toHaveProperty('tokens');
    const { ttft_ms = NaN, tpot_ms = NaN, e2e_ms = NaN } = line?.recorded ?? {};
    expect(ttft_ms).toBeGreaterThan(0);
    expect(e2e_ms).toBeCloseTo(ttft_ms + tpot_ms, 2);
  });

  it('knows the length of an answer that has a finish_reason and ends without [DONE], and of no other without it', async () => {
    const last = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\n`;
    for (const [stream, expected] of [
      [`${answer('one two')}${last}${usage(20, 7)}`, 7],
      [`${answer('one two')}${usage(20, 7)}`, undefined],
    ] as const) {
      await using upstream = await streaming(stream);
      await using recording = await startRecording(upstream.url);
      await (await post(recording.url, ask('hello'))).text();
      expect((await recording.end()).lines[0]?.output_tokens).toBe(expected);
    }
  });

  it('counts what open-autoglm says unasked', async () => {
    const last = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], autoglm: { timings: { total: 5 }, usage: { prompt_tokens: 20, completion_tokens: 7 } } })}\n\n`;
    await using upstream = await streaming(`${answer('one two')}${answer(' three')}${last}data: [DONE]\n\n`);
    await using recording = await startRecording(upstream.url);
    await (await post(recording.url, ask('hello'))).text();
    expect((await recording.end()).lines).toMatchObject([{ prompt: { tokens: 20 }, output_tokens: 7, recorded: { counted_by: 'usage' } }]);
  });

  it('reads answers that are not streamed', async () => {
    const body = JSON.stringify({ choices: [{ message: { content: 'hello' } }], usage: { prompt_tokens: 4, completion_tokens: 1 } });
    await using upstream = await startUpstream(
      (message, response) =>
        void message.resume().on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end(body)),
    );
    await using recording = await startRecording(upstream.url);
    expect(await (await post(recording.url, { ...ask('x'), stream: false })).text()).toBe(body);
    const [line] = (await recording.end()).lines;
    expect(line).toMatchObject({ output_tokens: 1, prompt: { tokens: 4 } });
    expect(line?.recorded).not.toHaveProperty('ttft_ms');
  });

  it('holds nothing of a prompt, a header, a query or a user', async () => {
    await using upstream = await streaming(`${answer('the answer is secret')}data: [DONE]\n\n`);
    await using recording = await startRecording(upstream.url);
    const secret = 'the quick brown fox '.repeat(20);
    await (
      await fetch(`${recording.url}/v1/chat/completions?api_key=k-123`, {
        method: 'POST',
        body: JSON.stringify(ask(secret)),
        headers: { authorization: 'Bearer b-123', 'x-api-key': 'h-123', cookie: 'c-123' },
      })
    ).text();
    const { text, lines } = await recording.end();
    expect(text).not.toMatch(/quick|answer|[kbhc]-123|somebody/);
    expect(lines[0]?.prompt?.block_hashes).toHaveLength(6);
  });

  it('holds contents where they are allowed, without keys, and the hash of an answer that can be repeated', async () => {
    await using upstream = await streaming(`${answer('four')}data: [DONE]\n\n`);
    await using recording = await startRecording(upstream.url, { contents: true });
    await (
      await post(
        recording.url,
        { ...ask('2+2?'), tools: [{ type: 'mcp', authorization: 'Bearer t-123' }] },
        { headers: { authorization: 'Bearer b-123' } },
      )
    ).text();
    await (await post(recording.url, { ...ask('again?'), temperature: 1 })).text();
    const { text, lines } = await recording.end();
    expect(text).not.toMatch(/[tb]-123/);
    expect(lines[0]).toMatchObject({
      body: { messages: [{ content: '2+2?' }], tools: [{ authorization: '[redacted]' }] },
      answer: { sha256: '04efaf080f5a3e74e1c29d1ca6a48569382cbbcd324e8d59d2b83ef21c039f00' },
    });
    expect(lines[1]).not.toHaveProperty('answer');
  });

  it('passes on and counts what cannot be a line', async () => {
    await using upstream = await startUpstream(
      (message, response) => void message.resume().on('end', () => response.writeHead(400).end('no')),
    );
    await using recording = await startRecording(upstream.url);
    const bodies = [
      '{"messages": [',
      '[1]',
      '{"model": "m"}',
      `{"messages": [{"role": "user", "content": "${'x'.repeat(17 * 1024 * 1024)}"}]}`,
    ];
    for (const body of bodies) expect((await post(recording.url, body)).status).toBe(400);
    const { lines, counts } = await recording.end();
    expect(lines).toEqual([]);
    expect(counts.unrecorded).toEqual({
      'not JSON': 2,
      'without a prompt': 1,
      'too large': 1,
      'cut off': 0,
      'not understood': 0,
      'not read in time': 0,
    });
  });

  it.each([
    ['tools', (deep: string) => `{"messages": [], "tools": ${deep}}`],
    ['calls', (deep: string) => `{"messages": [{"role": "assistant", "tool_calls": ${deep}}]}`],
    ['an image', (deep: string) => `{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": ${deep}}]}]}`],
    ['a prompt', (deep: string) => `{"prompt": ${deep}}`],
  ])('passes on and counts %s nested more deeply than JSON can be written', async (_, bodyWith) => {
    await using upstream = await streaming(`${answer('x')}data: [DONE]\n\n`);
    await using recording = await startRecording(upstream.url);
    const deep = '['.repeat(20_000) + ']'.repeat(20_000);
    for (const body of [bodyWith(deep), ask('hello')]) expect(await (await post(recording.url, body)).text()).toContain('[DONE]');
    const { lines, counts } = await recording.end();
    expect(lines).toMatchObject([{ prompt: { characters: 9 } }]);
    expect(counts.unrecorded).toMatchObject({ 'not understood': 1 });
  });

  it('is in the order of arrival, though a long answer ends last', async () => {
    const gate = Promise.withResolvers<void>();
    await using upstream = await startUpstream((message, response) => {
      const pieces: Buffer[] = [];
      message
        .on('data', (piece: Buffer) => pieces.push(piece))
        .on('end', async () => {
          if (Buffer.concat(pieces).includes('slow')) await gate.promise;
          response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: [DONE]\n\n');
        });
    });
    await using recording = await startRecording(upstream.url, { contents: true });
    const reached = new Promise((resolve) => upstream.server.once('request', resolve));
    const slow = post(recording.url, ask('slow'));
    await reached;
    await (await post(recording.url, ask('fast'))).text();
    gate.resolve();
    await (await slow).text();
    const { lines } = await recording.end();
    expect(lines).toMatchObject([{ body: { messages: [{ content: 'slow' }] } }, { body: { messages: [{ content: 'fast' }] } }]);
    expect(lines[0]?.at_ms).toBeLessThan(lines[1]?.at_ms as number);
  });

  it.runIf(existsSync('/dev/full'))('goes on when the disk is full: counted, said once', async () => {
    await using upstream = await streaming(`${answer('x')}data: [DONE]\n\n`);
    await using recording = await startRecording(upstream.url, { file: '/dev/full' });
    for (let count = 0; count < 5; count += 1) expect(await (await post(recording.url, ask('x'))).text()).toContain('[DONE]');
    expect(await recording.end()).toMatchObject({ lost: 5 });
    expect(recording.troubles).toEqual([expect.stringContaining('ENOSPC')]);
  });
});

describe("a prompt's shape", () => {
  const key = Buffer.alloc(32, 1);
  const shape = async (content: string, by = key) =>
    (await shapePrompt({ messages: [{ role: 'user', content }] }, by))?.block_hashes as readonly string[];

  it('has equal hashes exactly as far as two prompts are equal', async () => {
    const characters = fc.string({ maxLength: 400 });
    await fc.assert(
      fc.asyncProperty(characters, characters, characters, async (common, left, right) => {
        const [a, b] = [await shape(common + left), await shape(common + right)];
        const [textA, textB] = [`user${common}${left}`, `user${common}${right}`];
        for (let block = 0; block < Math.max(a.length, b.length); block += 1) {
          const end = (block + 1) * 64;
          const isShared = end <= textA.length && end <= textB.length && textA.slice(0, end) === textB.slice(0, end);
          expect(a[block] !== undefined && a[block] === b[block]).toBe(isShared);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('has nothing in common with that of another recording', async () => {
    const text = 'x'.repeat(640);
    const other = await shape(text, Buffer.alloc(32, 2));
    expect((await shape(text)).some((hash) => other.includes(hash))).toBe(false);
  });

  it('is of tools, roles, texts and calls, and of an image its hash', () => {
    const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(10_000)}` } };
    const text = promptText({
      tools: [{ type: 'function' }],
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'what?' }, image] },
        { role: 'assistant', content: null, tool_calls: [{ id: 'c' }] },
        null,
      ],
    });
    expect(text).toMatch(/^\[\{"type":"function"\}\]userwhat\?[\da-f]{64}assistant\[\{"id":"c"\}\]$/);
    expect(promptText({ prompt: 'a' })).toBe('a');
    expect(promptText({ prompt: [[1, 2], 'b'] })).toBe('[1,2]\nb');
    expect(promptText({})).toBeUndefined();
  });

  it('leaves out secrets in camel case, and lists of them', () => {
    const tool = {
      accessToken: 'a',
      authToken: 'b',
      secret_key: 'c',
      privateKey: 'd',
      aws_secret_access_key: 'e',
      headers: { Authorization: ['Bearer f'], 'X-Api-Key': 'g' },
    };
    expect(JSON.stringify(withoutSecrets({ tools: [tool] })).match(/\[redacted\]/g)).toHaveLength(7);
    const plain = {
      key: 'a',
      token: 5,
      max_tokens: 5,
      tokenizer: 'b',
      stop_token_ids: [1],
      keywords: ['c'],
      api_key: [{ type: 'string' }],
    };
    expect(withoutSecrets(plain)).toEqual(plain);
  });

  it('leaves out what names itself a secret, and nothing else', () => {
    expect(
      withoutSecrets({
        messages: [{ content: 'my password' }],
        api_key: 'a',
        nested: { access_token: 'b', max_tokens: 5, properties: { password: { type: 'string' } } },
      }),
    ).toEqual({
      messages: [{ content: 'my password' }],
      api_key: '[redacted]',
      nested: { access_token: '[redacted]', max_tokens: 5, properties: { password: { type: 'string' } } },
    });
  });
});

describe('the order of arrival', () => {
  it('holds whatever ends when, within its bound', () => {
    const steps = fc.array(fc.record({ settle: fc.boolean(), which: fc.nat(1000) }), { maxLength: 200 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 20 }), (list, heldMax) => {
        const written: number[] = [];
        const order = new ArrivalOrder({ heldMax, heldCharactersMax: 1e6, write: (line) => written.push(Number(line)) });
        const places: Place[] = [];
        const open = new Set<number>();
        for (const { settle, which } of list) {
          if (!settle) {
            const number = places.length;
            open.add(number);
            places.push(order.arrive(() => String(number)));
          } else if (open.size > 0) {
            const number = [...open][which % open.size] as number;
            open.delete(number);
            places[number]?.settle(String(number));
          }
          expect(places.length - written.length).toBeLessThanOrEqual(heldMax);
        }
        order.end();
        expect(written).toEqual(places.map((_, number) => number));
      }),
    );
  });

  it('does not wait for ever when lines are long', () => {
    const written: string[] = [];
    const order = new ArrivalOrder({ heldMax: 100, heldCharactersMax: 10, write: (line) => written.push(line) });
    order.arrive(() => 'unfinished');
    order.arrive(() => undefined).settle('x'.repeat(11));
    expect(written).toEqual(['unfinished', 'x'.repeat(11)]);
    expect(order.unfinishedCount).toBe(1);
  });

  it('counts what it did not wait for any longer, and of which it knew nothing', () => {
    const written: string[] = [];
    const order = new ArrivalOrder({ heldMax: 1, heldCharactersMax: 100, write: (line) => written.push(line) });
    const [late, none] = [order.arrive(() => undefined), order.arrive(() => undefined)];
    order.arrive(() => undefined);
    expect(order.lostCount).toBe(2);
    late.settle('late');
    late.settle('later');
    none.settle(undefined);
    expect([order.lostCount, order.unfinishedCount, written]).toEqual([1, 0, []]);
    order.end();
    expect(order.lostCount).toBe(2);
  });
});

describe('a file of lines', () => {
  it('is not written over', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-lines-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = path.join(folder, 'trace.jsonl');
    await writeFile(file, 'old');
    const options = { waitingBytesMax: 100, onTrouble: () => {} };
    await expect(LineFile.open(file, options)).rejects.toThrow('There is a file');
    await expect(LineFile.open(path.join(folder, 'absent', 'trace.jsonl'), options)).rejects.toThrow('cannot be written');
  });

  it('loses what the disk does not take in time, and never a part of a line', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-lines-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const troubles: (string | undefined)[] = [];
    const file = await LineFile.open(path.join(folder, 'trace.jsonl'), {
      waitingBytesMax: 30,
      onTrouble: (trouble) => troubles.push(trouble),
    });
    for (let count = 0; count < 5; count += 1) file.write('123456789');
    await file.close();
    expect([file.writtenCount, file.lostCount]).toEqual([3, 2]);
    expect(troubles).toEqual(['the disk is too slow', undefined]);
  });
});
