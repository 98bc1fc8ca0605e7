import assert from 'node:assert/strict';
import type { EmbeddingEngine, EmbeddingRequest } from '../embedding-engine.ts';
import { AutoglmError } from '../errors.ts';
import type { TestFramework } from './engine.ts';

export interface EmbeddingEngineUnderTest {
  readonly engine: EmbeddingEngine;
  /** Longer than the model reads. */
  readonly tooLong: string;
  /** What was started beside it. */
  close?(): Promise<void>;
}

const never = new AbortController().signal;
const texts = ['hello world', 'the cat', '中国的首都是北京', 'a', 'hello world'];

/** What every implementation of the `EmbeddingEngine` port must do. `make` starts a fresh one; the suite closes it. */
export function embeddingEngineContract(
  { describe, it }: TestFramework,
  name: string,
  make: () => Promise<EmbeddingEngineUnderTest>,
): void {
  const withEngine = (body: (under: EmbeddingEngineUnderTest) => Promise<void>) => async () => {
    const under = await make();
    try {
      await under.engine.ready();
      await body(under);
    } finally {
      await under.engine.close();
      await under.close?.();
    }
  };
  const reason = new AutoglmError('client_closed_request', 'left');

  describe(`${name} keeps the embedding engine contract`, () => {
    it(
      'gives a vector for each text, in order, and alike for alike texts',
      withEngine(async ({ engine }) => {
        const { vectors } = await engine.embed(request('a', texts), never);
        assert.equal(vectors.length, texts.length);
        assert.equal(new Set(vectors.map(({ length }) => length)).size, 1);
        assert.ok(cosine(vectors[0], vectors[4]) > 0.9999);
        assert.ok(cosine(vectors[0], vectors[2]) < 0.999);
        for (const [index, text] of texts.entries()) {
          const alone = await engine.embed(request(`alone-${index}`, [text]), never);
          assert.ok(cosine(alone.vectors[0], vectors[index]) > 0.9999);
        }
      }),
    );

    it(
      'counts the tokens of all texts',
      withEngine(async ({ engine }) => {
        const counts = await Promise.all(
          ['hello world', 'the cat'].map(async (text, index) => (await engine.embed(request(`${index}`, [text]), never)).promptTokens),
        );
        const together = await engine.embed(request('a', ['hello world', 'the cat']), never);
        assert.ok(counts.every((count) => count > 0));
        assert.equal(
          together.promptTokens,
          counts.reduce((sum, count) => sum + count, 0),
        );
        if (together.tokenCounts) assert.deepEqual(together.tokenCounts, counts);
      }),
    );

    it(
      'answers many at once, each with its own',
      withEngine(async ({ engine }) => {
        const [expected] = (await engine.embed(request('first', ['the cat']), never)).vectors;
        const answers = await Promise.all(
          Array.from({ length: 20 }, (_, index) =>
            engine.embed(request(`r${index}`, index % 2 ? ['the cat'] : ['hello', 'world', 'the cat']), never),
          ),
        );
        for (const { vectors } of answers) assert.ok(cosine(vectors.at(-1), expected) > 0.9999);
      }),
    );

    it(
      'refuses a text that is too long, and names it',
      withEngine(async ({ engine, tooLong }) => {
        await assert.rejects(
          engine.embed(request('a', ['hello', tooLong]), never),
          (error: AutoglmError) => error.code === 'context_length_exceeded' && error.param === 'input[1]',
        );
        await assert.rejects(
          engine.embed(request('b', [tooLong]), never),
          (error: AutoglmError) => error.code === 'context_length_exceeded' && error.param === 'input',
        );
        assert.equal((await engine.embed(request('c', ['hello']), never)).vectors.length, 1);
      }),
    );

    it(
      'throws the reason of an abort, and goes on',
      withEngine(async ({ engine }) => {
        await assert.rejects(engine.embed(request('a', texts), AbortSignal.abort(reason)), reason);
        await assert.rejects(engine.ready(AbortSignal.abort(reason)), reason);
        const leaving = new AbortController();
        const running = engine.embed(request('b', texts), leaving.signal);
        leaving.abort(reason);
        await assert.rejects(running, reason);
        assert.equal((await engine.embed(request('b', texts), never)).vectors.length, texts.length);
      }),
    );

    it(
      'ends what runs when it is closed, and answers nothing more',
      withEngine(async ({ engine }) => {
        const running = assert.rejects(engine.embed(request('a', texts), never), AutoglmError);
        await engine.close();
        await running;
        assert.equal(engine.status.state, 'closed');
        await assert.rejects(engine.embed(request('b', ['hello']), never), AutoglmError);
        await engine.close();
      }),
    );
  });
}

function request(id: string, inputs: readonly string[]): EmbeddingRequest {
  return { id, inputs, fields: { model: 'contract', input: inputs } };
}

function cosine(a: Float32Array | undefined, b: Float32Array | undefined): number {
  assert.ok(a && b && a.length === b.length);
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, index) => sum + value * (y[index] as number), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}
