import fc from 'fast-check';
import { AutoglmError, type GatewayRequest, type StreamPart } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { partBytes } from '../../src/response-cache/answer-entry.ts';
import { Flight, type FlightReader } from '../../src/response-cache/flight.ts';
import { testRequest, type TestRequest } from './support.ts';

const text = (value: string): StreamPart => ({ type: 'text-delta', index: 0, text: value, tokenCount: 1 });

/** A computation that the test leads, part by part. */
class Source implements AsyncIterableIterator<StreamPart> {
  readonly request: GatewayRequest;
  isReturned = false;
  #wanted: PromiseWithResolvers<IteratorResult<StreamPart>> | undefined;

  constructor(request: GatewayRequest) {
    this.request = request;
  }

  get isWanted(): boolean {
    return this.#wanted !== undefined;
  }

  next(): Promise<IteratorResult<StreamPart>> {
    this.#wanted = Promise.withResolvers();
    return this.#wanted.promise;
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.isReturned = true;
    return { value: undefined, done: true };
  }

  give(result: IteratorResult<StreamPart> | Error): void {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (result instanceof Error) wanted?.reject(result);
    else wanted?.resolve(result);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Of reading what is left: each gives everybody a part. */
const roundsMax = 100;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

class Harness {
  readonly sources: Source[] = [];
  readonly kept: (readonly StreamPart[])[] = [];
  closed = 0;
  readonly flight: Flight;

  constructor(bytesMax = 1_000_000) {
    this.flight = new Flight({
      bytesMax,
      compute: (request) => {
        const source = new Source(request);
        this.sources.push(source);
        return source;
      },
      onComplete: (parts) => this.kept.push([...parts]),
      onClosed: () => (this.closed += 1),
    });
  }

  get source(): Source {
    return this.sources.at(-1) as Source;
  }
}

interface Member {
  readonly request: TestRequest;
  readonly reader: FlightReader;
  readonly got: string[];
  end: 'reading' | 'complete' | 'left' | Error;
  asked: Promise<void> | undefined;
  /** The computation failed in its name, and it will hear so when it asks. */
  isDropped?: boolean;
}

/** Asks for one part, unless one is asked for already. */
function ask(member: Member): void {
  if (member.asked || member.end !== 'reading') return;
  member.asked = member.reader.next().then(
    (result) => {
      member.asked = undefined;
      if (result.done) member.end = member.end === 'left' ? 'left' : 'complete';
      else if (result.value.type === 'text-delta') member.got.push(result.value.text);
    },
    (error: Error) => {
      member.asked = undefined;
      if (member.end === 'reading') member.end = error;
    },
  );
}

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('join' as const) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('ask' as const), who: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('abort' as const, 'return' as const), who: fc.nat(20) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('part' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('end' as const, 'crash' as const, 'refuse' as const) }) },
);

describe('a flight', () => {
  it('gives everybody the same, for as long as anybody wants it (against a model)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
        const harness = new Harness();
        const members: Member[] = [];
        const said: string[] = [];
        let tries = 0;
        let ended: 'complete' | Error | undefined;
        const present = () => members.filter(({ end, isDropped }) => end === 'reading' && !isDropped);
        const join = () => {
          const request = testRequest({ id: String(members.length) });
          members.push({ request, reader: harness.flight.join(request), got: [], end: 'reading', asked: undefined });
        };
        join();
        /** In whose name it is computed, though it may have left. */
        let [first] = members;
        for (const { kind, ...more } of steps) {
          const member = members[('who' in more ? (more.who as number) : 0) % members.length] as Member;
          if (kind === 'join' && harness.closed === 0) join();
          else if (kind === 'ask') ask(member);
          else if (kind === 'abort' && member.end === 'reading') {
            member.end = 'left';
            member.request.controller.abort(new AutoglmError('client_closed_request', 'left'));
          } else if (kind === 'return' && member.end === 'reading') {
            member.end = 'left';
            await member.reader.return();
          } else if (kind === 'part' && harness.source?.isWanted && !ended) {
            said.push(`${said.length}`);
            harness.source.give({ value: text(said.at(-1) as string), done: false });
          } else if ((kind === 'end' || kind === 'crash' || kind === 'refuse') && harness.source?.isWanted && !ended) {
            const error = kind === 'crash' ? new AutoglmError('engine_crashed', 'x') : new AutoglmError('context_length_exceeded', 'y');
            const others = present().filter((each) => each !== first);
            harness.source.give(kind === 'end' ? { value: undefined, done: true } : error);
            if (kind === 'end') ended = 'complete';
            else if (kind === 'crash' && said.length === 0 && others.length > 0 && tries === 0) {
              tries += 1;
              if (first?.end === 'reading' && !first.asked) first.isDropped = true;
              [first] = others;
            } else ended = error;
          }
          await turn();
          // The last one who leaves ends it.
          if (present().length === 0 && !ended && harness.source)
            expect(harness.source.request.signal.aborted || harness.source.isReturned).toBe(true);
          if (present().length > 0 && !ended && harness.source) expect(harness.source.request.signal.aborted).toBe(false);
          if (present().length === 0 && !ended) break;
        }
        const wasLeft = present().length === 0 && !ended;
        // Whoever is still there gets the rest.
        for (let rounds = 0; present().length > 0; rounds += 1) {
          expect(rounds).toBeLessThan(roundsMax);
          for (const member of present()) ask(member);
          await turn();
          if (!ended && harness.source.isWanted) {
            harness.source.give({ value: undefined, done: true });
            ended = 'complete';
          }
          await turn();
        }
        for (const { reader, end, isDropped } of members)
          if (isDropped && end === 'reading') await expect(reader.next()).rejects.toMatchObject({ code: 'engine_crashed' });
        for (const { got, end } of members) {
          expect(said.slice(0, got.length)).toEqual(got);
          if (end === 'complete') expect([got, ended]).toEqual([said, 'complete']);
          // A failure before the first part is told to its leader alone, where others may try again.
          if (end instanceof Error && end !== ended) expect([tries, got]).toEqual([1, []]);
        }
        expect(harness.sources.length).toBeLessThanOrEqual(1 + tries);
        expect(harness.kept.length).toBe(ended === 'complete' ? 1 : 0);
        if (ended || wasLeft) expect(harness.closed).toBe(1);
      }),
      { numRuns: 300 },
    );
  });

  it('goes on when its leader leaves, and tells the next one what follows', async () => {
    const harness = new Harness();
    const [leader, next] = [testRequest({ id: 'a' }), testRequest({ id: 'b' })];
    const [first, second] = [harness.flight.join(leader), harness.flight.join(next)];
    const [asked, other] = [first.next(), second.next()];
    harness.source.request.emit({ type: 'engine-chosen', engine: 'e', tier: 'edge', reason: 'r' });
    harness.source.request.emit({ type: 'answer-note', name: 'n', value: 1 });
    harness.source.give({ value: text('x'), done: false });
    expect([await asked, await other]).toEqual([
      { value: text('x'), done: false },
      { value: text('x'), done: false },
    ]);
    leader.controller.abort(new AutoglmError('client_closed_request', 'left'));
    await expect(first.next()).rejects.toMatchObject({ code: 'client_closed_request' });
    expect(harness.source.request.signal.aborted).toBe(false);
    harness.source.request.emit({ type: 'segment-end', segment: 'decode', durationMs: 1 });
    harness.source.request.emit({ type: 'choice-end', choice: 0, finishReason: 'stop', completionTokens: 1 });
    expect(next.events.filter(({ type }) => type !== 'segment-end')).toEqual([
      { type: 'engine-chosen', engine: 'e', tier: 'edge', reason: 'r' },
      { type: 'answer-note', name: 'n', value: 1 },
      { type: 'choice-end', choice: 0, finishReason: 'stop', completionTokens: 1 },
    ]);
    const late = testRequest();
    harness.flight.join(late);
    expect(late.events.map(({ type }) => type)).toEqual(['engine-chosen', 'answer-note']);
  });

  it('a deadline that cannot be kept is its leader’s alone; a second failure is everybody’s', async () => {
    const harness = new Harness();
    const readers = ['a', 'b', 'c'].map((id) => harness.flight.join(testRequest({ id })));
    const asked = readers.map((reader) => reader.next().catch((error: AutoglmError) => error.code));
    harness.source.give(new AutoglmError('deadline_unreachable', 'too late'));
    expect(await asked[0]).toBe('deadline_unreachable');
    await turn();
    harness.source.give(new AutoglmError('queue_full', 'full'));
    expect(await asked[1]).toBe('queue_full');
    await turn();
    expect(harness.sources.map(({ request }) => request.id)).toEqual(['a', 'b', 'c']);
    harness.source.give(new AutoglmError('queue_full', 'full'));
    expect(await asked[2]).toBe('queue_full');
  });

  it('beyond its bytes keeps nothing, takes nobody, and lets go of who is far behind', async () => {
    const bytesMax = partBytes(text('x')) * 4;
    const harness = new Harness(bytesMax);
    const [fast, slow] = [harness.flight.join(testRequest()), harness.flight.join(testRequest())];
    for (let index = 0; index < 12; index += 1) {
      const asked = fast.next();
      harness.source.give({ value: text('x'), done: false });
      await asked;
      if (index === 0) await slow.next();
      if (index === 4) expect(harness.closed).toBe(1);
    }
    await expect(
      (async () => {
        for (let index = 0; index < 12; index += 1) await slow.next();
      })(),
    ).rejects.toMatchObject({ code: 'request_timeout' });
    const last = fast.next();
    harness.source.give({ value: undefined, done: true });
    expect(await last).toEqual({ value: undefined, done: true });
    expect(harness.kept).toEqual([]);
  });

  it('does not ask for more than the fastest has taken', async () => {
    const harness = new Harness();
    const reader = harness.flight.join(testRequest());
    const first = reader.next();
    harness.source.give({ value: text('x'), done: false });
    await first;
    await turn();
    expect(harness.source.isWanted).toBe(false);
  });
});
