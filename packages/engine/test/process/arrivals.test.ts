import type { GenerateRequest } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { Arrivals } from '../../src/process/arrivals.ts';
import { tokenRequest } from '../support/requests.ts';

/** A core whose prompts are read when the test says so. */
function createCore() {
  const readings = new Map<string, PromiseWithResolvers<number[]>>();
  const added: GenerateRequest[] = [];
  const aborted: string[] = [];
  const core = {
    readPrompt: ({ id }: GenerateRequest) => {
      const reading = Promise.withResolvers<number[]>();
      readings.set(id, reading);
      return reading.promise;
    },
    add: (request: GenerateRequest) => void added.push(request),
    abort: (id: string) => void aborted.push(id),
  };
  return { core, readings, added, aborted };
}

const request = (id: string): GenerateRequest => ({ ...tokenRequest(id, [], 1), prompt: { segments: [{ kind: 'text', text: id }] } });

describe('requests whose prompts are tokenized', () => {
  it('join with their tokens, whoever is first', async () => {
    const { core, readings, added } = createCore();
    const arrivals = new Arrivals(core, 2);
    const [long, short] = [arrivals.add(request('long')), arrivals.add(request('short'))];
    readings.get('short')?.resolve([1]);
    expect(await short).toBe(true);
    readings.get('long')?.resolve([2, 3]);
    expect(await long).toBe(true);
    expect(added.map(({ id, prompt }) => [id, prompt])).toEqual([
      ['short', { tokens: [1] }],
      ['long', { tokens: [2, 3] }],
    ]);
  });

  it('do not join once they were aborted, not even when the same id comes again', async () => {
    const { core, readings, added, aborted } = createCore();
    const arrivals = new Arrivals(core, 2);
    const left = arrivals.add(request('a'));
    const first = readings.get('a');
    arrivals.abort('a');
    const again = arrivals.add(request('a'));
    first?.resolve([1]);
    expect(await left).toBe(false);
    expect(added).toEqual([]);
    readings.get('a')?.resolve([2]);
    expect(await again).toBe(true);
    expect(added.map(({ prompt }) => prompt)).toEqual([{ tokens: [2] }]);
    expect(aborted).toEqual(['a']);
  });

  it('say nothing of a prompt that fails once its request was aborted: the same id may have come again', async () => {
    const { core, readings, added } = createCore();
    const arrivals = new Arrivals(core, 2);
    const left = arrivals.add(request('a'));
    arrivals.abort('a');
    readings.get('a')?.reject(new Error('too long'));
    expect(await left).toBe(false);
    expect(added).toEqual([]);
  });

  it('are bounded, and those that fail or left make room', async () => {
    const { core, readings } = createCore();
    const arrivals = new Arrivals(core, 2);
    const failing = arrivals.add(request('a'));
    void arrivals.add(request('b'));
    await expect(arrivals.add(request('c'))).rejects.toMatchObject({ code: 'queue_full' });
    readings.get('a')?.reject(new Error('too long'));
    await expect(failing).rejects.toThrow('too long');
    const next = arrivals.add(request('c'));
    readings.get('c')?.resolve([1]);
    expect(await next).toBe(true);
    arrivals.abort('b');
    void arrivals.add(request('d'));
    void arrivals.add(request('e'));
    await expect(arrivals.add(request('f'))).rejects.toMatchObject({ code: 'queue_full' });
  });
});
