import assert from 'node:assert/strict';
import { AutoglmError } from '../errors.ts';
import { greedySampling, type Engine, type GenerateRequest } from '../engine.ts';
import type { GeneratePart } from '../parts.ts';

/** The functions of a test framework that the suite needs; vitest's and node:test's both fit. */
export interface TestFramework {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => Promise<void>): void;
}

export interface EngineUnderTest {
  readonly engine: Engine;
  /** A request whose answer goes on for at least this many tokens, when it is not stopped. */
  readonly longAnswer: { readonly prompt: GenerateRequest['prompt']; readonly tokens: number };
}

/** What every implementation of the `Engine` port must do. `make` starts a fresh engine; the suite closes it. */
export function engineContract({ describe, it }: TestFramework, name: string, make: () => Promise<EngineUnderTest>): void {
  const withEngine =
    (body: (under: EngineUnderTest, request: (id: string, changes?: Partial<GenerateRequest>) => GenerateRequest) => Promise<void>) =>
    async () => {
      const under = await make();
      try {
        await under.engine.ready();
        await body(under, (id, changes = {}) => ({
          id,
          prompt: under.longAnswer.prompt,
          sampling: greedySampling,
          maxTokens: undefined,
          stop: [],
          topLogprobs: undefined,
          cacheScope: '',
          ...changes,
        }));
      } finally {
        await under.engine.close();
      }
    };
  const never = new AbortController().signal;

  describe(`${name} keeps the engine contract`, () => {
    it(
      'yields prompt-end, deltas, text-end, and its token counts add up',
      withEngine(async ({ engine }, request) => {
        const parts = await collect(engine.generate(request('a', { maxTokens: 3 }), never));
        assert.equal(parts[0]?.type, 'prompt-end');
        const end = parts.at(-1);
        assert.ok(end?.type === 'text-end');
        assert.ok(parts.slice(1, -1).every((part) => part.type === 'text-delta'));
        assert.equal(
          parts.reduce((sum, part) => sum + (part.type === 'text-delta' ? part.tokenCount : 0), 0),
          end.completionTokens,
        );
        assert.ok(parts[0].promptTokens > 0);
      }),
    );

    it(
      'ends at maxTokens with the reason length',
      withEngine(async ({ engine, longAnswer }, request) => {
        const maxTokens = longAnswer.tokens - 1;
        const end = (await collect(engine.generate(request('a', { maxTokens }), never))).at(-1);
        assert.deepEqual({ finishReason: 'length', completionTokens: maxTokens }, pick(end));
      }),
    );

    it(
      'ends before a stop string with the reason stop',
      withEngine(async ({ engine, longAnswer }, request) => {
        const whole = textOf(await collect(engine.generate(request('a', { maxTokens: longAnswer.tokens - 1 }), never)));
        const stop = whole.slice(-2);
        const parts = await collect(engine.generate(request('b', { stop: [stop] }), never));
        assert.equal(textOf(parts), whole.slice(0, whole.indexOf(stop)));
        assert.equal((parts.at(-1) as { finishReason: string }).finishReason, 'stop');
      }),
    );

    it(
      'reports logprobs only when asked',
      withEngine(async ({ engine }, request) => {
        const without = await collect(engine.generate(request('a', { maxTokens: 2 }), never));
        assert.ok(without.every((part) => part.type !== 'text-delta' || part.logprobs === undefined));
        const parts = await collect(engine.generate(request('b', { maxTokens: 2, topLogprobs: 1 }), never));
        const [scored] = parts.filter((part) => part.type === 'text-delta').flatMap((part) => part.logprobs ?? []);
        assert.ok(scored && scored.logprob <= 0 && scored.top.length === 1);
      }),
    );

    it(
      'throws the reason of an abort, before the first part and in the middle',
      withEngine(async ({ engine }, request) => {
        const reason = new AutoglmError('client_closed_request', 'left');
        const before = new AbortController();
        const unread = collect(engine.generate(request('a'), before.signal));
        before.abort(reason);
        await assert.rejects(unread, reason);
        const middle = new AbortController();
        const half = collect(engine.generate(request('b'), middle.signal), (part) => part.type === 'text-delta' && middle.abort(reason));
        await assert.rejects(half, reason);
        await collect(engine.generate(request('c', { maxTokens: 1 }), never));
      }),
    );

    it(
      'refuses a signal that is aborted already',
      withEngine(async ({ engine }, request) => {
        const reason = new AutoglmError('client_closed_request', 'left');
        await assert.rejects(collect(engine.generate(request('a'), AbortSignal.abort(reason))), reason);
        await assert.rejects(engine.ready(AbortSignal.abort(reason)), reason);
        const segments = [{ kind: 'text', text: 'a' }] as const;
        await assert.rejects(engine.countTokens(segments, AbortSignal.abort(reason)), reason);
        await assert.rejects(engine.tokenize({ segments }, AbortSignal.abort(reason)), reason);
      }),
    );

    it(
      'counts the tokens of each segment as it would read them',
      withEngine(async ({ engine }) => {
        const segments = [
          { kind: 'text', text: 'It is 15:00.' },
          { kind: 'text', text: '明天下午三点洗车' },
          { kind: 'text', text: '' },
        ] as const;
        const counts = await engine.countTokens(segments);
        // What every prompt begins with is counted in neither.
        const wholes = await Promise.all(
          [segments, segments.slice(0, 1), segments.slice(1, 2), []].map(
            async (some) => (await engine.tokenize({ segments: some })).length,
          ),
        );
        const [all = 0, first = 0, second = 0, nothing = 0] = wholes;
        assert.deepEqual([...counts], [first - nothing, second - nothing, 0]);
        assert.equal(all - nothing, first + second - 2 * nothing);
        assert.deepEqual([...(await engine.countTokens([]))], []);
      }),
    );

    it(
      'counts the tokens of a prompt as generate does',
      withEngine(async ({ engine, longAnswer }, request) => {
        const tokens = await engine.tokenize(longAnswer.prompt);
        const [first] = await collect(engine.generate(request('a', { maxTokens: 1 }), never));
        assert.equal(tokens.length, (first as { promptTokens: number }).promptTokens);
      }),
    );

    it(
      'says what it is',
      withEngine(async ({ engine }) => {
        assert.equal(engine.status.state, 'ready');
        const model = await engine.ready();
        assert.ok(model.contextLength > 0 && model.id !== '');
      }),
    );

    it(
      'ends what runs when it is closed, and answers nothing more',
      withEngine(async ({ engine }, request) => {
        const running = collect(engine.generate(request('a'), never), () => void engine.close());
        await assert.rejects(running, AutoglmError);
        await engine.close();
        assert.equal(engine.status.state, 'closed');
        await assert.rejects(collect(engine.generate(request('b'), never)), AutoglmError);
      }),
    );
  });
}

async function collect(parts: AsyncIterable<GeneratePart>, onPart: (part: GeneratePart) => unknown = () => {}): Promise<GeneratePart[]> {
  const all: GeneratePart[] = [];
  for await (const part of parts) {
    all.push(part);
    onPart(part);
  }
  return all;
}

function textOf(parts: readonly GeneratePart[]): string {
  return parts.map((part) => (part.type === 'text-delta' ? part.text : '')).join('');
}

function pick(part: GeneratePart | undefined): object {
  return part?.type === 'text-end' ? { finishReason: part.finishReason, completionTokens: part.completionTokens } : {};
}
