import { availableParallelism } from 'node:os';
import { AutoglmError } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { figure } from '../src/harness/report.ts';
import { runBench } from '../src/program.ts';
import type { Suite, SuiteOptions } from '../src/suites/suite.ts';

/** A suite that measures nothing and says what it is told to. */
function fakeSuite(name: string, ratio: number, asked: SuiteOptions[] = []): Suite {
  return {
    name,
    description: `the ${name} against nothing`,
    async run(options) {
      asked.push(options);
      options.onProgress('half way');
      const samples = Array.from({ length: options.runs }, (_, index) => 100 + index);
      return {
        settings: { runs: options.runs },
        figures: [
          figure({
            name: 'speed',
            unit: 'tokens/s',
            samples: samples.map((value) => value * ratio),
            reference: { name: 'nothing', samples },
            goal: { atLeast: 1 },
          }),
        ],
        notes: ['a note'],
      };
    },
  };
}

const broken: Suite = { name: 'broken', description: 'fails', run: () => Promise.reject(new Error('no room')) };

async function bench(...args: string[]) {
  const said = { out: '', error: '' };
  const asked: SuiteOptions[] = [];
  const suites = [
    fakeSuite('engine', 1.1, asked),
    fakeSuite('slow', 0.5),
    { ...fakeSuite('long', 1, asked), runsMax: 2, needsNoModel: true as const },
    broken,
  ];
  const code = await runBench(args, suites, { out: (text) => (said.out += text), error: (text) => (said.error += text) });
  return { code, asked, ...said };
}

describe('the bench program', () => {
  it('without a suite lists them', async () => {
    const { code, out } = await bench();
    expect(code).toBe(0);
    expect(out).toMatch(/Suites:\n +engine +the engine against nothing\n +slow /);
  });

  it('names what an unknown suite may have meant', async () => {
    const { code, error } = await bench('engin');
    expect(code).toBe(1);
    expect(error).toContain("unknown command 'engin'");
    expect(error).toContain('Did you mean engine?');
  });

  it('prints a table, and with --json one object as the last line', async () => {
    const { code, out, error, asked } = await bench('engine', '--json', '--runs', '7', '--threads', '1');
    expect({ code, error }).toEqual({ code: 0, error: 'engine: half way\n' });
    expect(asked[0]).toMatchObject({ runs: 7, threads: 1, model: 'default' });
    expect(out).toMatch(/speed +113 tokens\/s +103 nothing +1\.10 \[1\.10, 1\.10\] +≥ 1 met/);
    const report = JSON.parse(out.trimEnd().split('\n').at(-1) as string) as Record<string, unknown>;
    expect(report).toMatchObject({
      suite: 'engine',
      startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      seconds: expect.any(Number),
      machine: {
        cpu: expect.any(String),
        cores: expect.any(Number),
        memoryBytes: expect.any(Number),
        loadBefore: expect.any(Number),
        loadAfter: expect.any(Number),
      },
      versions: { node: process.versions.node, package: expect.any(String), system: expect.any(String) },
      settings: { runs: 7 },
      figures: [
        {
          name: 'speed',
          unit: 'tokens/s',
          reference: { name: 'nothing' },
          ratio: { value: expect.closeTo(1.1) },
          goal: { atLeast: 1 },
          goalMet: true,
        },
      ],
      notes: ['a note'],
    });
    expect(Object.keys(report)).toEqual([
      'suite',
      'startedAt',
      'seconds',
      'machine',
      'versions',
      'settings',
      'figures',
      'notes',
      'warnings',
    ]);
  });

  it('warns of too few rounds', async () => {
    expect((await bench('engine', '--runs', '3')).out).toContain('! Only 3 rounds counted');
    expect((await bench('engine', '--runs', '6')).out).not.toContain('rounds counted');
  });

  it('counts no more rounds than a suite has, and says so', async () => {
    const { asked, out } = await bench('long', '--runs', '9');
    expect(asked[0]).toMatchObject({ runs: 2 });
    expect(out).toContain('! Only 2 rounds counted');
  });

  it('takes no model where a suite needs none', async () => {
    expect((await bench('long')).code).toBe(0);
    for (const option of ['--model', '--threads']) expect((await bench('long', option, '1')).error).toContain(`unknown option '${option}'`);
  });

  it('with --strict exits with 2 when a goal was missed', async () => {
    expect((await bench('slow')).code).toBe(0);
    expect((await bench('slow', '--strict')).code).toBe(2);
    expect((await bench('engine', '--strict')).code).toBe(0);
  });

  it("asks for a suite's parts and numbers, all of them and their defaults when none are named", async () => {
    const asked: SuiteOptions[] = [];
    const suite: Suite = {
      ...fakeSuite('parted', 1, asked),
      parts: ['one', 'two'],
      numbers: [{ name: 'answer-tokens', description: 'of each', default: 7 }],
    };
    const run = (...args: string[]) => runBench(['parted', ...args], [suite], { out: () => {}, error: () => {} });
    expect(await run()).toBe(0);
    expect(await run('--only', 'two', '--answer-tokens', '9')).toBe(0);
    expect(asked.map(({ parts, numbers }) => ({ parts: [...parts], numbers }))).toEqual([
      { parts: ['one', 'two'], numbers: { 'answer-tokens': 7 } },
      { parts: ['two'], numbers: { 'answer-tokens': 9 } },
    ]);
    expect(await run('--only', 'three')).toBe(1);
    expect(await run('--answer-tokens', '0')).toBe(1);
  });

  it('takes no more threads than there are cores', async () => {
    expect((await bench('engine', '--threads', '100000')).asked[0]?.threads).toBe(availableParallelism());
  });

  it('tells what is to be done about a model without a stack', async () => {
    const suite: Suite = {
      ...fakeSuite('engine', 1, []),
      run: async () => {
        throw new AutoglmError('engine_failed', 'Name a GGUF file.');
      },
    };
    let error = '';
    expect(await runBench(['engine'], [suite], { out: () => {}, error: (text) => (error += text) })).toBe(1);
    expect(error).toBe('bench: Name a GGUF file.\n');
  });

  it('tells what a suite threw', async () => {
    const { code, out, error } = await bench('broken');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(error).toContain('no room');
  });

  it.each([[['engine', '--runs', '0']], [['engine', '--threads', 'two']], [['engine', 'more']], [['engine', '--jsn']]])(
    'refuses %j',
    async (args) => {
      const { code, error } = await bench(...args);
      expect(code).toBe(1);
      expect(error).toContain('error:');
    },
  );
});
