import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AnswerEntry } from '../../src/response-cache/answer-entry.ts';
import type { CacheLevel } from '../../src/response-cache/levels/level.ts';
import { ResponseCache } from '../../src/response-cache/response-cache.ts';
import { answerParts, identity, testRequest, textOf } from './support.ts';

/** A shared level that somebody else writes to: whatever it is asked for, it has the last answer that was kept. */
class ConfusedLevel implements CacheLevel<AnswerEntry> {
  readonly name = 'redis';
  #last: AnswerEntry | undefined;

  get(): Promise<AnswerEntry | undefined> {
    return Promise.resolve(this.#last);
  }

  require(): Promise<AnswerEntry | undefined> {
    return this.get();
  }

  set(_: string, value: AnswerEntry): void {
    this.#last = value;
  }

  delete(): Promise<boolean> {
    return Promise.resolve(false);
  }
}

/** Names that differ by what separators, escapes and case can hide. */
const name = fc.oneof(
  fc.constantFrom('', 'a', 'A', 'a"', 'a","', '["a"]', 'a\u0000', 'null', '__proto__', 'a,b', 'ä', 'a\u0308'),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
);
const open = (shared?: CacheLevel<AnswerEntry>) =>
  new ResponseCache({
    ttlMs: 60_000,
    jitter: 0,
    staleMs: 0,
    earlyRefresh: 0,
    maxBytes: 1e6,
    maxEntryBytes: 1e5,
    maxRefreshes: 0,
    identify: () => identity,
    now: Date.now,
    random: () => 0.5,
    shared,
  });

async function ask(cache: ResponseCache, tenant: string, content: string) {
  const request = testRequest({ tenant, input: { kind: 'chat', messages: [{ role: 'user', content }] } });
  const parts = [];
  for await (const part of cache.stage(request, async function* () {
    yield* answerParts(JSON.stringify([tenant, content]));
  }))
    parts.push(part);
  const note = request.events.find((event) => event.type === 'answer-note' && event.name === 'cache') as { value: { key: string } };
  const [madeFor] = JSON.parse(textOf(parts)) as [string];
  return { madeFor, key: note.value.key };
}

it.each([
  ['in memory', undefined],
  ['with a shared level that mixes its answers up', new ConfusedLevel()],
])('no tenant ever gets, sees or revokes another’s answer, %s (fuzzed)', async (_, shared) => {
  const cache = open(shared);
  await fc.assert(
    fc.asyncProperty(name, name, name, name, async (first, second, one, other) => {
      fc.pre(first !== second);
      const kept = await ask(cache, first, one);
      expect(kept.madeFor).toBe(first);
      for (const content of [one, other]) expect((await ask(cache, second, content)).madeFor).toBe(second);
      expect(await cache.describe(kept.key, second)).toBeUndefined();
      expect(await cache.revoke(kept.key, second)).toBe(false);
    }),
  );
});
