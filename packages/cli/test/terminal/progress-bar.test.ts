import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { createProgressBar } from '../../src/terminal/progress-bar.ts';

it('writes lines where there is no terminal: at each quarter of a piece of work, and from the beginning of the next', () => {
  const stream = new PassThrough();
  const bar = createProgressBar(stream as unknown as NodeJS.WriteStream);
  for (const work of ['fetching', 'converting'])
    for (let percent = 0; percent <= 100; percent += 5) bar.report(percent / 100, `${work}: ${percent} %`);
  const lines = ['fetching', 'converting'].flatMap((work) => [0, 25, 50, 75, 100].map((percent) => `${work}: ${percent} %\n`));
  expect((stream.read() as Buffer).toString()).toBe(lines.join(''));
});

it('keeps to one line of a terminal: the bar gives way to the text, in which a Chinese character takes two places', () => {
  const drawn = (columns: number, text: string) => {
    const stream = Object.assign(new PassThrough(), { isTTY: true, columns });
    createProgressBar(stream as unknown as NodeJS.WriteStream).report(0.5, text);
    return (stream.read() as Buffer).toString().replace('\r\x1b[K', '');
  };
  expect(drawn(80, 'half')).toBe(`${'█'.repeat(12)}${'░'.repeat(12)} half`);
  expect(drawn(16, 'half of it')).toBe('██░░ half of it');
  expect(drawn(8, 'half of it')).toBe('half of');
  expect(drawn(8, '一半的模型')).toBe('一半的');
  // Some pseudo-terminals tell no size.
  expect(drawn(0, 'half')).toBe(`${'█'.repeat(12)}${'░'.repeat(12)} half`);
});
