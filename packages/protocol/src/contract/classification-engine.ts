import assert from 'node:assert/strict';
import type { ClassificationEngine, ClassificationRequest } from '../classification-engine.ts';
import { AutoglmError } from '../errors.ts';
import type { TestFramework } from './engine.ts';

export interface ClassificationEngineUnderTest {
  readonly engine: ClassificationEngine;
  /** Refused with a status of 400. */
  readonly refused: string;
  /** What was started beside it. */
  close?(): Promise<void>;
}

const never = new AbortController().signal;
const texts = ['what a fine day', 'it rains', 'it rains', 'a'];

/** What every implementation of the `ClassificationEngine` port must do. `make` starts a fresh one; the suite closes it. */
export function classificationEngineContract(
  { describe, it }: TestFramework,
  name: string,
  make: () => Promise<ClassificationEngineUnderTest>,
): void {
  const withEngine = (body: (under: ClassificationEngineUnderTest) => Promise<void>) => async () => {
    const under = await make();
    try {
      await body(under);
    } finally {
      await under.engine.close();
      await under.close?.();
    }
  };
  const reason = new AutoglmError('client_closed_request', 'left');

  describe(`${name} keeps the classification engine contract`, () => {
    it(
      'classifies each text, in order, alone as in company',
      withEngine(async ({ engine }) => {
        const { classifications } = await engine.classify(request('a', texts), never);
        assert.equal(classifications.length, texts.length);
        assert.equal(new Set(classifications.map(({ probs }) => probs.length)).size, 1);
        for (const [index, text] of texts.entries())
          assert.deepEqual((await engine.classify(request(`alone-${index}`, [text]), never)).classifications, [classifications[index]]);
      }),
    );

    it(
      'answers many at once, each with its own, and counts all tokens',
      withEngine(async ({ engine }) => {
        const whole = await engine.classify(request('whole', texts), never);
        const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => engine.classify(request(`r${index}`, texts), never)));
        for (const { classifications } of answers) assert.deepEqual(classifications, whole.classifications);
        assert.ok(whole.promptTokens > 0);
        assert.equal(
          answers.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
          20 * whole.promptTokens,
        );
      }),
    );

    it(
      'refuses what it must, and nothing beside it',
      withEngine(async ({ engine, refused }) => {
        const answers = await Promise.allSettled([
          engine.classify(request('a', ['hello']), never),
          engine.classify(request('b', [refused]), never),
          engine.classify(request('c', ['it rains']), never),
        ]);
        assert.deepEqual(
          answers.map(({ status }) => status),
          ['fulfilled', 'rejected', 'fulfilled'],
        );
        assert.equal((answers[1] as PromiseRejectedResult).reason.status, 400);
      }),
    );

    it(
      'throws the reason of an abort, and goes on',
      withEngine(async ({ engine }) => {
        await assert.rejects(engine.classify(request('a', texts), AbortSignal.abort(reason)), reason);
        const leaving = new AbortController();
        const running = engine.classify(request('b', texts), leaving.signal);
        leaving.abort(reason);
        await assert.rejects(running, reason);
        assert.equal((await engine.classify(request('c', texts), never)).classifications.length, texts.length);
      }),
    );

    it(
      'ends what runs when it is closed, and answers nothing more',
      withEngine(async ({ engine }) => {
        const running = assert.rejects(engine.classify(request('a', texts), never), AutoglmError);
        await engine.close();
        await running;
        assert.equal(engine.status.state, 'closed');
        await assert.rejects(engine.classify(request('b', ['hello']), never), AutoglmError);
        await engine.close();
      }),
    );
  });
}

function request(id: string, inputs: readonly string[]): ClassificationRequest {
  return { id, inputs, fields: { model: 'contract', input: inputs } };
}
