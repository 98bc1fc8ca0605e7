import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SseParser, type SseEvent } from '../src/index.ts';

interface Case {
  readonly name: string;
  readonly input: string | { readonly repeat: string; readonly n: number; readonly prefix: string; readonly suffix: string };
  readonly expect: readonly (Partial<SseEvent> & { readonly dataLength?: number })[];
  readonly retry?: readonly number[];
}

const file = '../shared/data/conformance/sse-cases.json';

describe.skipIf(!existsSync(file))('event streams (skipped where ../shared/data is absent)', () => {
  const cases = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { readonly cases: readonly Case[] }).cases : [];
  const textOf = ({ input }: Case) => (typeof input === 'string' ? input : input.prefix + input.repeat.repeat(input.n) + input.suffix);
  const check = (entry: Case, pieces: Iterable<Uint8Array>) => {
    const decoder = new TextDecoder();
    const parser = new SseParser();
    const events: SseEvent[] = [];
    for (const piece of pieces) events.push(...parser.push(decoder.decode(piece, { stream: true })));
    expect(
      events.map((event, index) =>
        entry.expect[index]?.dataLength === undefined ? event : { event: event.event, dataLength: event.data.length, id: event.id },
      ),
    ).toEqual(entry.expect);
    expect(parser.retryMs).toBe(entry.retry?.at(-1));
  };

  it.each(cases.map((entry) => [entry.name, entry] as const))('%s', (_, entry) => {
    const bytes = new TextEncoder().encode(textOf(entry));
    const cutAt = (places: readonly number[]) =>
      [0, ...places.toSorted((a, b) => a - b), bytes.length]
        .map((start, index, all) => bytes.subarray(start, all[index + 1] ?? bytes.length))
        .slice(0, -1);
    check(entry, [bytes]);
    if (bytes.length < 10_000)
      check(
        entry,
        Array.from(bytes, (byte) => Uint8Array.of(byte)),
      );
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 8 }), (places) => check(entry, cutAt(places))),
      { numRuns: bytes.length < 10_000 ? 50 : 3 },
    );
  });
});

it.each(['xxxxxxxxxxxxxxxx', `data: ${'x'.repeat(1000)}\n`])('an event that never ends is not kept (%#)', (piece) => {
  const parser = new SseParser();
  const megabyte = piece.repeat(Math.ceil(2 ** 20 / piece.length));
  expect(() => {
    for (let read = 0; read < 9; read += 1) parser.push(megabyte);
  }).toThrow(RangeError);
});
