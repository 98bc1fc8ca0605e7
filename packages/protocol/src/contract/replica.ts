import assert from 'node:assert/strict';
import { AutoglmError } from '../errors.ts';
import type { GatewayEvent } from '../events.ts';
import type { PartsIterator, StreamPart } from '../parts.ts';
import type { Replica } from '../replica.ts';
import type { GatewayRequest } from '../request.ts';
import type { TestFramework } from './engine.ts';

export interface ReplicaUnderTest {
  readonly replica: Replica;
  /** Tokens of the answer to any request, when it is not stopped: at least 20, with pauses between them. */
  readonly tokens: number;
  /** Requests whose work goes on, wherever it is done. */
  readonly runningCount: () => number;
  /** Requests that have reached whoever does the work. */
  readonly askedCount: () => number;
  close(): Promise<void>;
}

/**
 * What every implementation of the `Replica` port must do. `make` starts a fresh one; the suite closes it. `asks`: what its requests ask
 * where a test says nothing else.
 */
export function replicaContract(
  { describe, it }: TestFramework,
  name: string,
  make: () => Promise<ReplicaUnderTest>,
  asks: Partial<GatewayRequest> = {},
): void {
  const request = (changes: Partial<GatewayRequest> = {}) => requestOf({ ...asks, ...changes });
  const withReplica = (body: (under: ReplicaUnderTest) => Promise<void>) => async () => {
    const under = await make();
    try {
      await until(() => under.replica.status.state === 'ready');
      await body(under);
    } finally {
      await under.replica.close();
      await under.close();
    }
  };
  const reason = new AutoglmError('client_closed_request', 'left');

  describe(`${name} keeps the replica contract`, () => {
    for (const stream of [false, true]) {
      it(
        `answers every choice from its start to its end, and its token counts add up (stream: ${stream})`,
        withReplica(async ({ replica }) => {
          const events: GatewayEvent[] = [];
          const parts = await collect(
            replica.answer(request({ stream, choiceCount: 2, maxTokens: 3, emit: (event) => events.push(event) })),
          );
          for (const index of [0, 1]) {
            const own = parts.filter((part) => part.index === index && part.type !== 'usage');
            assert.match(own[0]?.type ?? '', /^(prompt-end|text-start)$/);
            assert.deepEqual(own.filter(({ type }) => type === 'text-end').length, 1);
            assert.equal(own.at(-1)?.type, 'text-end');
          }
          const total = parts.reduce((sum, part) => sum + (part.type === 'text-end' ? part.completionTokens : 0), 0);
          assert.equal(total, 6);
          const usage = parts.findIndex(({ type }) => type === 'usage');
          assert.ok(usage === -1 || usage === parts.length - 1);
          assert.equal(events.filter(({ type }) => type === 'choice-end').length, 2);
        }),
      );
    }

    for (const stream of [false, true]) {
      it(
        `gives the same parts where those that are here are taken at once (stream: ${stream})`,
        withReplica(async ({ replica }) => {
          const asked = { stream, choiceCount: 2, maxTokens: 3 };
          const iterator: PartsIterator = replica.answer(request(asked))[Symbol.asyncIterator]();
          assert.equal(iterator.nextNow?.(), undefined);
          const parts: StreamPart[] = [];
          for (let result = await iterator.next(); !result.done; result = iterator.nextNow?.() ?? (await iterator.next()))
            parts.push(result.value);
          assert.deepEqual(saidOf(parts), saidOf(await collect(replica.answer(request(asked)))));
        }),
      );
    }

    it(
      'ends at maxTokens with the reason length',
      withReplica(async ({ replica }) => {
        const end = (await collect(replica.answer(request({ maxTokens: 2 })))).find((part) => part.type === 'text-end');
        assert.deepEqual(end && { finishReason: end.finishReason, completionTokens: end.completionTokens }, {
          finishReason: 'length',
          completionTokens: 2,
        });
      }),
    );

    it(
      'asks nobody before the first part is asked for',
      withReplica(async ({ replica, askedCount }) => {
        const before = askedCount();
        const parts = replica.answer(request());
        await new Promise((resolve) => setImmediate(resolve));
        assert.equal(askedCount(), before);
        await collect(parts, () => 'leave');
        assert.equal(askedCount(), before + 1);
      }),
    );

    for (const stream of [false, true]) {
      it(
        `throws the reason of an abort, and the work ends where it is done (stream: ${stream})`,
        withReplica(async ({ replica, runningCount }) => {
          const leaving = new AbortController();
          const answer = collect(replica.answer(request({ stream, signal: leaving.signal })));
          const rejected = assert.rejects(answer, reason);
          await until(() => runningCount() === 1);
          leaving.abort(reason);
          await rejected;
          await until(() => runningCount() === 0);
        }),
      );
    }

    it(
      'refuses a signal that is aborted already',
      withReplica(async ({ replica, runningCount }) => {
        await assert.rejects(collect(replica.answer(request({ signal: AbortSignal.abort(reason) }))), reason);
        await until(() => runningCount() === 0);
      }),
    );

    it(
      'ends the work when the reader leaves',
      withReplica(async ({ replica, runningCount }) => {
        await collect(replica.answer(request({ stream: true })), (part) => (part.type === 'text-delta' ? 'leave' : undefined));
        await until(() => runningCount() === 0);
      }),
    );

    for (const stream of [false, true]) {
      it(
        `ends the work when the reader leaves before it has a part (stream: ${stream})`,
        withReplica(async ({ replica, runningCount }) => {
          const events: GatewayEvent[] = [];
          const parts = replica.answer(request({ stream, emit: (event) => events.push(event) }))[Symbol.asyncIterator]();
          // It may settle in any way, or not at all: nobody waits for it.
          parts.next().catch(() => {});
          await until(() => runningCount() === 1);
          await parts.return?.();
          await until(() => runningCount() === 0);
          assert.deepEqual(
            events.filter(({ type }) => type === 'choice-end'),
            [],
          );
        }),
      );
    }

    it(
      'ends what runs with a typed error when it is closed, and answers nothing more',
      withReplica(async ({ replica, runningCount }) => {
        const running = collect(replica.answer(request({ stream: true })));
        const rejected = assert.rejects(running, AutoglmError);
        await until(() => runningCount() === 1);
        await replica.close();
        await rejected;
        await replica.close();
        assert.equal(replica.status.state, 'closed');
        await assert.rejects(async () => collect(replica.answer(request())), AutoglmError);
      }),
    );
  });
}

/** What each choice says, and how it ends: pieces and times differ from one answer to the next. */
function saidOf(parts: readonly StreamPart[]): object[] {
  return [0, 1].map((index) => {
    const own = parts.filter((part) => part.index === index);
    return {
      text: own.map((part) => (part.type === 'text-delta' ? part.text : '')).join(''),
      reasons: own.flatMap((part) => (part.type === 'text-end' ? [part.finishReason] : [])),
    };
  });
}

function requestOf(changes: Partial<GatewayRequest>): GatewayRequest {
  return {
    id: 'contract',
    tenant: '',
    model: 'contract',
    input: { kind: 'chat', messages: [{ role: 'user', content: 'count' }] },
    prompts: [{ segments: [{ kind: 'text', text: 'count' }] }],
    stream: false,
    choiceCount: 1,
    sampling: {},
    maxTokens: undefined,
    stop: [],
    topLogprobs: undefined,
    signal: new AbortController().signal,
    emit: () => {},
    ...changes,
  };
}

async function collect(
  parts: AsyncIterable<StreamPart>,
  onPart: (part: StreamPart) => 'leave' | undefined = () => undefined,
): Promise<StreamPart[]> {
  const all: StreamPart[] = [];
  for await (const part of parts) {
    all.push(part);
    if (onPart(part) === 'leave') break;
  }
  return all;
}

/** The suite's own time limit bounds it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
