import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { createProgressBar } from '../../src/terminal/progress-bar.ts';

it('writes lines where there is no terminal: at each quarter of a piece of work, and from the beginning of the next', () => {
  const stream = new PassThrough();
  const bar = createProgressBar(stream as unknown as NodeJS.WriteStream);
  for (const work of ['fetching', 'converting']) for (let percent = 0; percent <= 100; percent += 5) bar.report(percent / 100, `${work}: ${percent} %`);
  const lines = ['fetching', 'converting'].flatMap((work) => [0, 25, 50, 75, 100].map((percent) => `${work}: ${percent} %\n`));
  expect((stream.read() as Buffer).toString()).toBe(lines.join(''));
});
