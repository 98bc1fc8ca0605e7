import { describe, expect, it } from 'vitest';
import { figure, type SuiteReport } from '../../src/harness/report.ts';
import { formatReport } from '../../src/harness/table.ts';

describe('figure', () => {
  it('holds its goal against the ratio where there is a reference', () => {
    const reference = { name: 'libllama', samples: [100, 50, 100] };
    expect(figure({ name: 'decode', unit: 'tokens/s', samples: [110, 55, 110], reference, goal: { atLeast: 1.05 } })).toMatchObject({
      value: 110,
      goalMet: true,
      reference: { value: 100 },
    });
    expect(figure({ name: 'decode', unit: 'tokens/s', samples: [110, 55, 110], reference, goal: { atLeast: 1.15 } })).toMatchObject({
      goalMet: false,
    });
  });

  it('holds its goal against the value where there is none', () => {
    expect(figure({ name: 'start', unit: 'ms', samples: [900], goal: { below: 1000 } })).toMatchObject({ goalMet: true });
    expect(figure({ name: 'start', unit: 'ms', samples: [1000], goal: { below: 1000 } })).toMatchObject({ goalMet: false });
  });

  it('takes a reference that was not measured as it is', () => {
    const { reference, ratio } = figure({ name: 'http', unit: 'tokens/s', samples: [740, 814], reference: { name: 'other', value: 74 } });
    expect(reference).toEqual({ name: 'other', value: 74 });
    expect(ratio?.value).toBeCloseTo(10.5);
  });
});

describe('formatReport', () => {
  const report: SuiteReport = {
    suite: 'engine',
    startedAt: '2026-01-01T00:00:00.000Z',
    seconds: 1,
    machine: { cpu: 'A CPU', cores: 2, instructionSets: ['avx2'], lastLevelCacheBytes: null, memoryBytes: 2 ** 30, loadBefore: 0 },
    versions: { node: '24.0.0', package: '0.1.0', ggml: '@node-llama-cpp/linux-x64@1.0.0', system: 'Linux 6', commit: null },
    settings: { threads: 2 },
    figures: [
      figure({
        name: 'decode',
        unit: 'tokens/s',
        samples: [200],
        reference: { name: 'libllama', samples: [100] },
        goal: { atLeast: 1.05 },
        limit: 400,
      }),
      figure({ name: 'http', unit: 'tokens/s', samples: [60], reference: { name: 'other', value: 74 }, goal: { atLeast: 10 } }),
    ],
    notes: ['how it was got'],
    warnings: ['a busy machine'],
  };

  it('shows figure, reference, ratio, goal and limit, and says what was not measured', () => {
    const text = formatReport(report);
    expect(text).toMatch(/decode +200 tokens\/s +100 libllama +2\.00 \[2\.00, 2\.00\] +≥ 1\.05 met +400 tokens\/s/);
    expect(text).toMatch(/http +60\.0 tokens\/s +74\.0 other \(not measured here\) +0\.81 .* MISSED/);
    expect(text).toContain('- how it was got');
    expect(text).toContain('! a busy machine');
  });
});
