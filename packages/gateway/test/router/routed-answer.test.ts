import {
  AutoglmError,
  type ErrorCode,
  type GatewayEvent,
  type GatewayRequest,
  type ProbeNews,
  type RequestReplica,
  type StreamPart,
} from '@open-autoglm/protocol';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { defaultConfig, routerOptions } from '../../src/main.ts';
import { balancePolicies } from '../../src/router/balance/index.ts';
import type { Member } from '../../src/router/member.ts';
import { ReplicaSet } from '../../src/router/replica-set.ts';
import { RoutedAnswer } from '../../src/router/routed-answer.ts';

const codes = [
  'upstream_error',
  'upstream_unreachable',
  'upstream_timeout',
  'rate_limit_exceeded',
  'invalid_value',
] as const satisfies ErrorCode[];

/** What a replica does with one request: so many parts, each after so many turns of the event loop, and then. */
interface Script {
  readonly parts: number;
  readonly turns: number;
  readonly end: 'end' | 'hang' | (typeof codes)[number];
}

/** What a client does: reads so many parts and leaves, leaves while it waits, or is gone after so many turns; undefined: does not. */
interface Client {
  readonly reads: number | undefined;
  readonly leavesAfter: number | undefined;
  readonly abortsAfter: number | undefined;
}

const script: fc.Arbitrary<Script> = fc.record({
  parts: fc.nat(3),
  turns: fc.nat(4),
  end: fc.constantFrom('end', 'end', 'hang', ...codes),
});
const sometimes = (values: fc.Arbitrary<number>) => fc.option(values, { nil: undefined, freq: 2 });
const client: fc.Arbitrary<Client> = fc.record({
  reads: sometimes(fc.nat(2)),
  leavesAfter: sometimes(fc.nat(12)),
  abortsAfter: sometimes(fc.nat(12)),
});

/** More than any script takes, and so many that a hedge begins meanwhile. */
const turnsMax = 400;

async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Does with each request what the next script says, and what is usual when there is none. */
class ScriptedReplica {
  readonly replica: RequestReplica;
  scripts: Script[] = [];
  running = 0;
  readonly #listeners = new Set<(news: ProbeNews) => void>();

  constructor(name: string) {
    this.replica = {
      takes: 'requests',
      name,
      status: { state: 'ready', detail: '' },
      model: undefined,
      isKnown: true,
      watch: () => {},
      watchProbes: (listener) => void this.#listeners.add(listener),
      answer: (request) => this.#answer(request),
      close: async () => {},
    };
  }

  fallSilent(): void {
    for (const listener of this.#listeners) listener('silent');
  }

  #answer(request: GatewayRequest): AsyncIterable<StreamPart> {
    const left = new AbortController();
    const parts = this.#parts(this.scripts.shift() ?? { parts: 1, turns: 0, end: 'end' }, AbortSignal.any([request.signal, left.signal]));
    const iterator: AsyncIterator<StreamPart> = {
      next: () => parts.next(),
      return: () => {
        left.abort(new Error('left'));
        return parts.return(undefined);
      },
    };
    return { [Symbol.asyncIterator]: () => iterator };
  }

  async *#parts({ parts, turns: wait, end }: Script, signal: AbortSignal): AsyncGenerator<StreamPart, undefined> {
    this.running += 1;
    try {
      for (let index = 0; index < parts; index += 1) {
        await turns(wait);
        signal.throwIfAborted();
        yield { type: 'text-delta', index: 0, text: this.replica.name, tokenCount: 1 };
      }
      await turns(wait);
      signal.throwIfAborted();
      if (end === 'hang')
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }));
      else if (end !== 'end') throw new AutoglmError(end, 'as written');
      return undefined;
    } finally {
      this.running -= 1;
    }
  }
}

function startSet(hedges: boolean) {
  const replicas = ['one', 'two', 'three'].map((name) => new ScriptedReplica(name));
  const targets = replicas.map(({ replica }) => ({ replica, tier: 'cloud', weight: 1, maxOutstanding: 3 }));
  const settings = {
    ...routerOptions(defaultConfig.router),
    openMsFirst: 0,
    openMsMax: 0,
    slowFactor: 0,
    hedging: { enabled: hedges, quantile: 0.5, ratio: 1, delayMsMin: 1 },
  };
  const set = new ReplicaSet({ name: 'm', targets }, balancePolicies.least_connections, settings, { now: () => 0, random: () => 0 });
  const members = new Set<Member>();
  const begin = set.begin.bind(set);
  set.begin = (request, tried) => {
    const member = begin(request, tried);
    if (member) members.add(member);
    return member;
  };
  return { replicas, set, members };
}

/** Asks once, reads as the client does, and checks what it sees. Resolves when it is over. */
async function ask(set: ReplicaSet, { reads, leavesAfter, abortsAfter }: Client): Promise<void> {
  const abort = new AbortController();
  const chosen: string[] = [];
  const emit = (event: GatewayEvent) => void (event.type === 'engine-chosen' && chosen.push(event.engine));
  const answer = new RoutedAnswer(set, { stream: true, tenant: 't', signal: abort.signal, emit } as unknown as GatewayRequest);
  // Whatever hangs ends with its client.
  const leaving = turns(abortsAfter ?? turnsMax).then(() => abort.abort(new AutoglmError('client_closed_request', 'left')));
  const left =
    leavesAfter === undefined ? new Promise<never>(() => {}) : turns(leavesAfter).then(() => ({ value: undefined, done: true }) as const);
  const seen: string[] = [];
  try {
    while (seen.length !== reads) {
      const { value, done } = await Promise.race([answer.next(), left]);
      if (done) break;
      if (value.type === 'text-delta') seen.push(value.text);
    }
  } catch (error) {
    expect(error).toBeInstanceOf(AutoglmError);
  } finally {
    await answer.return();
  }
  expect(await answer.next()).toEqual({ value: undefined, done: true });
  expect(new Set(seen).size).toBeLessThanOrEqual(1);
  if (seen.length > 0) expect(chosen.at(-1)).toBe(seen[0]);
  expect(new Set(chosen).size).toBeLessThanOrEqual(3);
  await leaving;
}

it.each([false, true])(
  "an answer is one replica's, and nobody holds a place when all are over, whatever replicas and clients do (hedging: %s)",
  async (hedges) => {
    const everything = fc.record({
      scripts: fc.array(script, { maxLength: 24 }),
      clients: fc.array(client, { minLength: 1, maxLength: 12 }),
      silences: fc.array(fc.record({ after: fc.nat(12), who: fc.nat(2) }), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(everything, async ({ scripts, clients, silences }) => {
        const { replicas, set, members } = startSet(hedges);
        // Enough for a quantile.
        if (hedges)
          for (let count = 0; count < 32; count += 1) await ask(set, { reads: undefined, leavesAfter: undefined, abortsAfter: undefined });
        for (const [index, one] of scripts.entries()) replicas[index % 3]?.scripts.push(one);
        await Promise.all([
          ...clients.map((one) => ask(set, one)),
          ...silences.map(({ after, who }) => turns(after).then(() => replicas[who]?.fallSilent())),
        ]);
        await turns(8);
        expect(replicas.map(({ running }) => running)).toEqual([0, 0, 0]);
        expect([...members].map(({ outstanding }) => outstanding)).toEqual([...members].map(() => 0));
      }),
      { numRuns: 100 },
    );
  },
);
