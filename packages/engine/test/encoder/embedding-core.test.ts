import { describe, expect, it } from 'vitest';
import { EmbeddingCore, type FinishedRequest } from '../../src/encoder/embedding-core.ts';
import type { Encoder } from '../../src/encoder/encoder.ts';

/** An encoder whose tokens are the text's characters; the vector is [first, last, length]. */
function letters(passTokens = 16, contextLength = 12) {
  const passes: number[][] = [];
  const encoder: Encoder = {
    info: {
      id: 'letters',
      source: 'letters',
      architecture: 'bert',
      weightType: 'F32',
      weightBytes: 0,
      weightsFingerprint: 'letters',
      parameterCount: 0,
      vocabularySize: 200,
      contextLength,
      dimensions: 3,
      pooling: 'mean',
    },
    vocabulary: {
      size: 200,
      tokenizeWhole: (text: string) => [1, ...Array.from(text, (letter) => letter.charCodeAt(0)), 2],
    } as Encoder['vocabulary'],
    passTokens,
    encode(texts) {
      passes.push(texts.map(({ length }) => length));
      return texts.map((tokens) => Float32Array.of(tokens[1] as number, tokens.at(-2) as number, tokens.length));
    },
    close: () => {},
  };
  return { encoder, passes };
}

function drain(core: EmbeddingCore): FinishedRequest[] {
  const finished: FinishedRequest[] = [];
  while (!core.idle) finished.push(...core.step());
  return finished;
}

const code = (letter: string) => letter.charCodeAt(0);

describe('the embedding core', () => {
  it('answers in the order of the inputs, whatever the order of the passes', () => {
    const { encoder, passes } = letters();
    const core = new EmbeddingCore(encoder, { maxQueue: 100 });
    core.add({ id: 'a', inputs: ['abcdefgh', 'b', 'cc', 'dddd', 'e'] });
    const [{ vectors, tokenCounts }] = drain(core) as [FinishedRequest];
    expect([...vectors]).toEqual([
      code('a'),
      code('h'),
      10,
      code('b'),
      code('b'),
      3,
      code('c'),
      code('c'),
      4,
      code('d'),
      code('d'),
      6,
      code('e'),
      code('e'),
      3,
    ]);
    expect(tokenCounts).toEqual([10, 3, 4, 6, 3]);
    expect(passes.every((lengths) => lengths.reduce((sum, length) => sum + length, 0) <= 16)).toBe(true);
    expect(passes.every((lengths) => lengths.join() === lengths.toSorted((x, y) => x - y).join())).toBe(true);
  });

  it('encodes texts of several requests together, so that a single one waits for no list', () => {
    const { encoder, passes } = letters(12);
    const core = new EmbeddingCore(encoder, { maxQueue: 100 });
    core.add({ id: 'list', inputs: Array.from({ length: 20 }, () => 'xx') });
    core.add({ id: 'single', inputs: ['yy'] });
    expect(core.step().map(({ id }) => id)).toEqual(['single']);
    expect(passes).toEqual([[4, 4, 4]]);
    expect(drain(core).map(({ id }) => id)).toEqual(['list']);
  });

  it('lets real time go before the batch lane, which moves on beside it', () => {
    const { encoder, passes } = letters(12);
    const core = new EmbeddingCore(encoder, { maxQueue: 100, batchShareMin: 0.25 });
    core.add({ id: 'batch', inputs: Array.from({ length: 20 }, () => 'xx'), lane: 'batch' });
    core.add({ id: 'list', inputs: Array.from({ length: 9 }, () => 'yy') });
    core.add({ id: 'single', inputs: ['yy'], lane: 'realtime' });
    expect(core.step().map(({ id }) => id)).toEqual(['single']);
    const order = drain(core).map(({ id }) => id);
    expect(order).toEqual(['list', 'batch']);
    // Real time has 10 texts of 4 tokens; of what was encoded until its end, the batch lane had about a quarter.
    const texts = passes.map(({ length }) => length);
    expect(texts.slice(0, 5).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(10);
  });

  it('bounds the lanes apart: a full batch lane refuses nobody in real time', () => {
    const core = new EmbeddingCore(letters().encoder, { maxQueue: 2 });
    core.add({ id: 'a', inputs: ['a', 'b', 'c'], lane: 'batch' });
    expect(() => core.add({ id: 'b', inputs: ['b'], lane: 'batch' })).toThrow(expect.objectContaining({ code: 'queue_full' }));
    core.add({ id: 'c', inputs: ['c'] });
    expect(
      drain(core)
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(['a', 'c']);
  });

  it('lets aborted requests go', () => {
    const { encoder, passes } = letters(4);
    const core = new EmbeddingCore(encoder, { maxQueue: 100 });
    core.add({ id: 'a', inputs: ['xx', 'xx', 'xx'] });
    core.step();
    core.abort('a');
    expect(core.idle).toBe(true);
    core.add({ id: 'b', inputs: ['zz'] });
    expect(drain(core).map(({ id }) => id)).toEqual(['b']);
    expect(passes).toHaveLength(2);
  });

  it('tells how long a request waited and how long it was computed', () => {
    let nowMs = 0;
    const { encoder } = letters(4);
    const encode = encoder.encode.bind(encoder);
    const core = new EmbeddingCore({ ...encoder, encode: (texts) => ((nowMs += 10), encode(texts)) }, { maxQueue: 100, now: () => nowMs });
    core.add({ id: 'a', inputs: ['xx'] });
    core.add({ id: 'b', inputs: ['xx', 'xx'] });
    expect(drain(core)).toMatchObject([
      { id: 'a', queueMs: 0, computeMs: 10 },
      { id: 'b', queueMs: 10, computeMs: 20 },
    ]);
  });

  it('bounds what waits, but takes a list of any size when nobody does', () => {
    const { encoder } = letters();
    const core = new EmbeddingCore(encoder, { maxQueue: 2 });
    core.add({ id: 'a', inputs: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'] });
    expect(() => core.add({ id: 'b', inputs: ['b'] })).toThrow(expect.objectContaining({ code: 'queue_full', retryAfterSeconds: 1 }));
    drain(core);
    core.add({ id: 'c', inputs: ['c'] });
    core.add({ id: 'd', inputs: ['d'] });
    expect(() => core.add({ id: 'e', inputs: ['e'] })).toThrow(expect.objectContaining({ code: 'queue_full' }));
  });

  it('refuses what the model cannot do, naming the field', () => {
    const core = new EmbeddingCore(letters().encoder, { maxQueue: 2 });
    const refused = (request: Parameters<EmbeddingCore['add']>[0], expected: object) =>
      expect(() => core.add(request)).toThrow(expect.objectContaining(expected));
    refused({ id: 'a', inputs: ['x'], dimensions: 2 }, { code: 'invalid_value', param: 'dimensions' });
    refused({ id: 'a', inputs: ['x', 'abcdefghijk'] }, { code: 'context_length_exceeded', param: 'input[1]' });
    refused({ id: 'a', inputs: [[1, 200]] }, { code: 'invalid_value', param: 'input' });
    refused({ id: 'a', inputs: [[1], []] }, { code: 'invalid_value', param: 'input[1]' });
    expect(core.idle).toBe(true);
    core.add({ id: 'a', inputs: ['x'], dimensions: 3 });
  });

  it('cuts texts where that is asked for, and keeps the tokens that end them', () => {
    const { encoder, passes } = letters();
    const core = new EmbeddingCore(encoder, { maxQueue: 9 });
    core.add({ id: 'a', inputs: ['abcdefghijklmn', [1, ...new Array<number>(30).fill(50), 2]], truncate: true });
    const [{ vectors, tokenCounts }] = drain(core) as [FinishedRequest];
    expect([...vectors]).toEqual([code('a'), code('j'), 12, 50, 50, 12]);
    expect(tokenCounts).toEqual([12, 12]);
    expect(passes.flat()).toEqual([12, 12]);
  });
});
