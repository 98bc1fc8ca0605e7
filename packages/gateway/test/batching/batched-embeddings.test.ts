import { AutoglmError, type EmbeddingEngine, type EmbeddingRequest } from '@open-autoglm/protocol';
import { embeddingEngineContract } from '@open-autoglm/protocol/contract';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BatchedEmbeddings } from '../../src/engines/batching/batched-embeddings.ts';
import { createMockEmbeddings, type MockEmbeddingsScript } from '../../src/main.ts';
import { createGate, until } from '../support.ts';

const never = new AbortController().signal;
const request = (id: string, inputs: EmbeddingRequest['inputs'], changes: Partial<EmbeddingRequest> = {}): EmbeddingRequest => ({
  id,
  inputs,
  ...changes,
});

function make(script: MockEmbeddingsScript = {}, options: { sizeMax?: number; timeoutMs?: number; waitingMax?: number } = {}) {
  const mock = createMockEmbeddings(script);
  return {
    mock,
    engine: new BatchedEmbeddings(mock, {
      sizeMax: 16,
      timeoutMs: 60_000,
      waitingMax: 1000,
      batchShareMin: 0.1,
      now: () => performance.now(),
      ...options,
    }),
  };
}

/** Holds the first batch until the gate opens, so that the others gather. */
function gated(fail?: (asked: EmbeddingRequest) => void) {
  const gate = createGate();
  let isFirst = true;
  const beforeAnswer = async (asked: EmbeddingRequest) => {
    const holds = isFirst;
    isFirst = false;
    if (holds) await gate.passed;
    fail?.(asked);
  };
  return { gate, script: { beforeAnswer } };
}

embeddingEngineContract({ describe, it }, 'the mock, in batches', async () => ({ engine: make().engine, tooLong: 'x'.repeat(65) }));

describe('embeddings in batches', () => {
  it('ask an idle server at once, and what came meanwhile together', async () => {
    const { gate, script } = gated();
    const { mock, engine } = make(script);
    const answers = ['a', 'bb', 'ccc', 'dddd'].map((text) => engine.embed(request(text, [text]), never));
    await until(() => mock.requests.length === 1);
    gate.open();
    const tokens = (await Promise.all(answers)).map(({ promptTokens }) => promptTokens);
    expect(mock.requests.map(({ inputs }) => inputs)).toEqual([['a'], ['bb', 'ccc', 'dddd']]);
    expect(tokens).toEqual([1, 2, 3, 4]);
  });

  it('go before those of the batch lane, which goes in short calls, one at a time', async () => {
    const gates = [createGate(), createGate(), createGate()];
    let asked = 0;
    const { mock, engine } = make({ beforeAnswer: () => gates[asked++]?.passed }, { sizeMax: 8 });
    const batch = ['a', 'b', 'c', 'd', 'e'].map((text) => engine.embed(request(text, [text], { lane: 'batch' }), never));
    await until(() => mock.requests.length === 1);
    const realtime = engine.embed(request('r', ['rr']), never);
    await until(() => mock.requests.length === 2);
    gates[0]?.open();
    await batch[0];
    // Real time is under way: two texts are a quarter of a call.
    await until(() => mock.requests.length === 3);
    gates[1]?.open();
    gates[2]?.open();
    await Promise.all([realtime, ...batch]);
    expect(mock.requests.map(({ inputs }) => inputs)).toEqual([['a'], ['rr'], ['b', 'c'], ['d', 'e']]);
    expect(mock.requests.map(({ lane }) => lane)).toEqual(['batch', undefined, 'batch', 'batch']);
  });

  it('that are as large as a batch go at once, and count for the lanes and for who waits', async () => {
    const gates = [createGate(), createGate(), createGate()];
    let asked = 0;
    const { mock, engine } = make({ beforeAnswer: () => gates[asked++]?.passed }, { sizeMax: 8 });
    const list = engine.embed(
      request(
        'list',
        Array.from({ length: 9 }, () => 'l'),
      ),
      never,
    );
    await until(() => mock.requests.length === 1);
    const waits = [engine.embed(request('r', ['r']), never), engine.embed(request('s', ['s', 's']), never)];
    await new Promise((resolve) => setImmediate(resolve));
    expect(mock.requests).toHaveLength(1);
    gates[0]?.open();
    await list;
    // What waited for the server goes when the list has ended.
    await until(() => mock.requests.length === 2);
    expect(mock.requests.map(({ inputs }) => inputs.length)).toEqual([9, 3]);
    gates[1]?.open();
    await Promise.all(waits);
    const last = engine.embed(
      request(
        'list',
        Array.from({ length: 8 }, () => 'l'),
      ),
      never,
    );
    const others = ['c', 'd', 'e', 'f'].map((text) => engine.embed(request(text, [text], { lane: 'batch' }), never));
    await Promise.all(others);
    gates[2]?.open();
    await last;
    // Beside a list the batch lane has short calls.
    expect(mock.requests.slice(2).map(({ inputs }) => inputs.join(''))).toEqual(['llllllll', 'c', 'de', 'f']);
  });

  it('of the batch lane take their turns, whatever they have in common', async () => {
    const { gate, script } = gated();
    const { mock, engine } = make(script, { sizeMax: 8 });
    const held = engine.embed(request('r', ['r']), never);
    const batchOf = (user: string) =>
      engine.embed(request(user, [user], { lane: 'batch', fields: { model: 'm', input: user, user } }), never);
    const answers = [...Array.from({ length: 12 }, () => batchOf('a')), batchOf('z')];
    await Promise.all(answers);
    // Beside real time it has a short call at a time, which `a` alone could fill until nothing of it is left.
    expect(mock.requests.slice(0, 5).map(({ inputs }) => inputs.join(''))).toEqual(['r', 'a', 'aa', 'z', 'aa']);
    gate.open();
    await held;
  });

  it('are at most two calls of the batch lane where nothing else is there', async () => {
    const gate = createGate();
    const { mock, engine } = make({ beforeAnswer: () => gate.passed }, { sizeMax: 2, timeoutMs: 0 });
    const batch = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((text) => engine.embed(request(text, [text], { lane: 'batch' }), never));
    await until(() => mock.requests.length === 2);
    await new Promise((resolve) => setImmediate(resolve));
    expect(mock.requests).toHaveLength(2);
    gate.open();
    await Promise.all(batch);
    expect(mock.requests.flatMap(({ inputs }) => inputs)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
  });

  it("lose nobody, double nobody and keep each request's order, whoever comes, leaves or fails", async () => {
    const texts = fc.array(fc.string({ minLength: 1, maxLength: 6, unit: 'grapheme-ascii' }), { minLength: 1, maxLength: 5 });
    const asks = fc.array(
      fc.record({
        inputs: texts,
        leaves: fc.boolean(),
        isBad: fc.boolean(),
        dimensions: fc.constantFrom(undefined, 8),
        lane: fc.constantFrom('realtime', 'batch'),
      }),
      { minLength: 1, maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(asks, fc.integer({ min: 1, max: 12 }), async (all, sizeMax) => {
        const { gate, script } = gated();
        const { mock, engine } = make(script, { sizeMax });
        const alone = createMockEmbeddings();
        await alone.ready();
        const running = all.map(({ inputs, leaves, isBad, dimensions, lane }, index) => {
          const left = new AbortController();
          const own = isBad ? [...inputs, 'x'.repeat(65)] : inputs;
          const answer = engine.embed(request(`r${index}`, own, { dimensions, lane }), left.signal).then(
            (value) => ({ value }),
            (error: AutoglmError) => ({ error }),
          );
          return { answer, left, leaves, isBad, own, dimensions };
        });
        const reason = new AutoglmError('client_closed_request', 'left');
        for (const { left, leaves } of running) if (leaves) left.abort(reason);
        gate.open();
        for (const { answer, leaves, isBad, own } of running) {
          const result = await answer;
          if ('error' in result) {
            if (leaves && result.error === reason) continue;
            expect([isBad, result.error.code, result.error.param]).toEqual([
              true,
              'context_length_exceeded',
              own.length === 1 ? 'input' : `input[${own.length - 1}]`,
            ]);
            continue;
          }
          expect(isBad).toBe(false);
          expect(result.value.vectors).toEqual((await alone.embed(request('alone', own), never)).vectors);
        }
        for (const { inputs, dimensions } of mock.requests) {
          expect(inputs.length).toBeLessThanOrEqual(Math.max(sizeMax, 6));
          expect([undefined, 8]).toContain(dimensions);
        }
        await Promise.all([engine.close(), alone.close()]);
      }),
      { numRuns: 60 },
    );
  });

  it('let go of one who leaves, and go on for the others; when all have left, the server is told', async () => {
    let aborted = 0;
    const hanging = {
      beforeAnswer: (_: EmbeddingRequest, signal: AbortSignal) =>
        new Promise<void>(() => signal.addEventListener('abort', () => (aborted += 1))),
    };
    const { mock, engine } = make(hanging, { sizeMax: 3 });
    const [a, b, c] = [new AbortController(), new AbortController(), new AbortController()];
    const reason = new AutoglmError('client_closed_request', 'left');
    const answers = [
      engine.embed(request('a', ['a']), a.signal),
      engine.embed(request('b', ['b']), b.signal),
      engine.embed(request('c', ['c', 'c']), c.signal),
    ];
    await until(() => mock.requests.length === 2);
    b.abort(reason);
    await expect(answers[1]).rejects.toBe(reason);
    expect(aborted).toBe(0);
    c.abort(reason);
    await expect(answers[2]).rejects.toBe(reason);
    await until(() => aborted === 1);
    a.abort(reason);
    await expect(answers[0]).rejects.toBe(reason);
    await engine.close();
  });

  it('ask each by itself where the server refuses one of them, and fail together where it fails', async () => {
    const bad = gated((asked) => {
      if (asked.inputs.includes('bad')) throw new AutoglmError('invalid_value', 'There is something bad.', { param: 'input' });
    });
    const first = make(bad.script);
    const answers = ['a', 'b', 'bad', 'c'].map((text) =>
      first.engine.embed(request(text, [text]), never).then(
        () => 'good',
        (error: AutoglmError) => error.code,
      ),
    );
    bad.gate.open();
    expect(await Promise.all(answers)).toEqual(['good', 'good', 'invalid_value', 'good']);
    const gone = gated((asked) => {
      if (asked.inputs.length > 1) throw new AutoglmError('upstream_unreachable', 'It is gone.');
    });
    const second = make(gone.script);
    const failed = ['a', 'b', 'c'].map((text) =>
      second.engine.embed(request(text, [text]), never).then(
        () => 'good',
        (error: AutoglmError) => error.code,
      ),
    );
    gone.gate.open();
    expect(await Promise.all(failed)).toEqual(['good', 'upstream_unreachable', 'upstream_unreachable']);
    expect(second.mock.requests).toHaveLength(2);
  });

  it('share the tokens of empty texts by their number', async () => {
    const { gate, script } = gated();
    const { mock } = make(script);
    const counting: EmbeddingEngine = {
      name: 'counts beginnings',
      status: mock.status,
      ready: () => mock.ready(),
      embed: async (asked, signal) => ({ ...(await mock.embed(asked, signal)), promptTokens: 2 * asked.inputs.length }),
      close: () => mock.close(),
    };
    const engine = new BatchedEmbeddings(counting, {
      sizeMax: 16,
      timeoutMs: 60_000,
      waitingMax: 1000,
      batchShareMin: 0.1,
      now: () => performance.now(),
    });
    const answers = [['a'], [''], ['', '']].map((inputs, index) => engine.embed(request(`r${index}`, inputs), never));
    await until(() => mock.requests.length === 1);
    gate.open();
    expect((await Promise.all(answers)).map(({ promptTokens }) => promptTokens)).toEqual([2, 2, 4]);
    expect(mock.requests).toHaveLength(2);
  });

  it('keep apart what asks for different things, and refuse what there is no room for', async () => {
    const { gate, script } = gated();
    const { mock, engine } = make(script, { waitingMax: 3 });
    const fields = (user: string) => ({ fields: { model: 'm', input: 'x', user } });
    const answers = [
      engine.embed(request('a', ['a']), never),
      engine.embed(request('b', ['b'], fields('one')), never),
      engine.embed(request('c', ['c'], fields('two')), never),
      engine.embed(request('d', ['d'], fields('one')), never),
    ];
    await expect(engine.embed(request('e', ['e']), never)).rejects.toMatchObject({ code: 'queue_full' });
    gate.open();
    await Promise.all(answers);
    expect(mock.requests.map(({ inputs }) => inputs).sort()).toEqual([['a'], ['b', 'd'], ['c']]);
    expect(mock.requests.find(({ inputs }) => inputs.length === 2)?.fields).toEqual({ model: 'm', input: ['b', 'd'], user: 'one' });
  });

  it('cost an arrival no look at all the others, however little they have in common', async () => {
    let looks = 0;
    const now = () => {
      looks += 1;
      return 0;
    };
    const { gate, script } = gated();
    const engine = new BatchedEmbeddings(createMockEmbeddings(script), {
      sizeMax: 16,
      timeoutMs: 60_000,
      waitingMax: 2000,
      batchShareMin: 0.1,
      now,
    });
    const leaving = new AbortController();
    const asked = Array.from({ length: 1000 }, (_, index) =>
      engine.embed(request(`r${index}`, ['a'], { fields: { input: ['a'], user: `u${index}` } }), leaving.signal).catch(() => 'left'),
    );
    // As many of the clock as there are asks, some times over; by all that wait it would be half a million.
    expect(looks).toBeLessThan(20_000);
    leaving.abort();
    gate.open();
    await Promise.all(asked);
    await engine.close();
  });

  it('do not wait beyond the timeout for a server that is busy', async () => {
    const { gate, script } = gated();
    const { mock, engine } = make(script, { timeoutMs: 1 });
    const held = engine.embed(request('a', ['a']), never);
    await engine.embed(request('b', ['b']), never);
    expect(mock.requests).toHaveLength(2);
    gate.open();
    await held;
  });
});
