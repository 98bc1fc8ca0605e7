import { expect, it } from 'vitest';
import { Opened } from '../src/common/opened.ts';

it('what was opened is closed in the opposite order, what the others speak to at the end, each once, though one fails', async () => {
  const closed: string[] = [];
  const opened = new Opened();
  const close = (name: string) => void closed.push(name);
  opened.add('first', close);
  opened.add(undefined, () => close('nothing'));
  opened.add('second', () => {
    throw new Error('stuck');
  });
  opened.addToTheEnd('log', close);
  opened.add('third', close);
  await expect(opened.close()).rejects.toThrow('stuck');
  await opened.close();
  expect(closed).toEqual(['third', 'first', 'log']);
});
