import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { factKinds, noBytes } from '../../src/replay/generator/exchange-facts.ts';
import { FactWriter, logBytes, readFacts } from '../../src/replay/generator/fact-log.ts';
import { UnreadLogs, unreadBytesMax, unreadCell } from '../../src/replay/generator/unread-logs.ts';

describe('a log of facts', () => {
  it('is read as it was written, over as many buffers as it takes', () => {
    const fact = fc.tuple(
      fc.constantFrom(...factKinds),
      fc.nat(2 ** 32 - 1),
      fc.double({ noNaN: true }),
      fc.double({ noNaN: true }),
      fc.uint8Array({ maxLength: 300 }),
    );
    fc.assert(
      fc.property(fc.array(fact, { maxLength: 100 }), fc.integer({ min: 0, max: logBytes - 30_000 }), (facts, fillLength) => {
        const filler: (typeof facts)[number] = ['piece', 0, 0, 0, new Uint8Array(fillLength)];
        const read: unknown[] = [];
        const writer = new FactWriter((log) =>
          readFacts(log, (kind, id, atMs, value, bytes) => void read.push([kind, id, atMs, value, bytes.slice()])),
        );
        const all = [filler, ...facts, filler];
        for (const each of all) writer.tell(...each);
        writer.flush();
        expect(read).toEqual(all);
      }),
      { numRuns: 30 },
    );
  });

  it('is no larger than what is in it, and many small ones hold nobody up', () => {
    const unread = new UnreadLogs(unreadCell());
    const posted: Uint8Array[] = [];
    const writer = new FactWriter((log) => void posted.push(log));
    for (let log = 0; log < 10_000; log += 1) {
      writer.tell('sent', log, 0, 0, noBytes);
      writer.flush();
    }
    for (const { buffer } of posted) {
      expect(unread.hasRoomFor(buffer.byteLength)).toBe(true);
      unread.add(buffer.byteLength);
    }
  });

  it('has no room beside as much as may be unread, until some is read', () => {
    const unread = new UnreadLogs(unreadCell());
    let full = 0;
    for (; unread.hasRoomFor(logBytes); full += 1) unread.add(logBytes);
    expect(full * logBytes).toBe(unreadBytesMax);
    expect(unread.hasRoomFor(1)).toBe(false);
    unread.read(25);
    expect([unread.hasRoomFor(25), unread.hasRoomFor(26)]).toEqual([true, false]);
  });

  it('posts nothing where nothing was told, and refuses what no log can hold', () => {
    const posted: Uint8Array[] = [];
    const writer = new FactWriter((log) => void posted.push(log));
    writer.flush();
    writer.tell('sent', 1, 2, 3, noBytes);
    writer.flush();
    writer.flush();
    expect(posted.map(({ length }) => length)).toEqual([25]);
    expect(() => writer.tell('piece', 1, 2, 0, new Uint8Array(logBytes))).toThrow('does not fit');
  });
});
