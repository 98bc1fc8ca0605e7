import fc from 'fast-check';
import { expect, it } from 'vitest';
import { prettyLines } from '../../../src/observability/logs/pretty.ts';

const line = {
  level: 'info',
  time: '2026-11-21T08:14:54.707Z',
  engine: 'mock',
  detail: 'The mock is ready.',
  segments_ms: { queue: 1.5 },
  finish_reasons: ['stop'],
  msg: 'engine',
};

it('shows a line as people read it', () => {
  expect(prettyLines(`${JSON.stringify(line)}\n`, false)).toBe(
    '08:14:54.707 info  engine engine=mock detail="The mock is ready." segments_ms.queue=1.5 finish_reasons=["stop"]\n',
  );
  expect(prettyLines(JSON.stringify(line), true)).toContain('\u001b[32minfo \u001b[0m');
});

it('lets no text of a client move the cursor', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (model, name) => {
      const shown = prettyLines(`${JSON.stringify({ ...line, model, [name]: model })}\n`, false);
      // oxlint-disable-next-line no-control-regex
      expect(shown.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    }),
  );
});
