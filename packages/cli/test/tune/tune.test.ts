import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readPolicyFile } from '@open-autoglm/gateway/cascade-policy';
import { createRandom } from '@open-autoglm/statistics';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, start } from '../support.ts';

const gsm8k = '../shared/data/cascade/gsm8k-cheap-strong.jsonl';
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'autoglm-tune-'));
});
afterAll(() => rm(folder, { recursive: true }));

const random = createRandom(3);
function lines(count: number, more: object = {}): string {
  return Array.from({ length: count }, (_, index) => {
    const length = Math.floor(random() * 60);
    return JSON.stringify({
      prompt: `How many are ${index} and ${'one '.repeat(length)}?`,
      cheap_ok: random() > length / 60,
      strong_ok: random() < 0.9,
      cheap_answer: 'It is 1 + 1 = 2.',
      ...more,
    });
  }).join('\n');
}
async function write(name: string, text: string): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, text);
  return file;
}

describe('autoglm tune cascade', () => {
  it('prints a table and writes a policy that the gateway can read', async () => {
    const data = await write('a.jsonl', lines(80));
    const out = path.join(folder, 'policy.json');
    const { code, stdout } = await run(['tune', 'cascade', data, '--out', out]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/strong calls +random +prompt length +by the prompt +by the answer +oracle\n/);
    expect(stdout.match(/^ +[1-9]0 % /gm)).toHaveLength(9);
    expect(stdout).toContain('against prompt length.');
    expect(readPolicyFile(out).answer?.gains).toHaveLength(101);
    const again = await run(['tune', 'cascade', data, '--out', out]);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('is there already; --force writes over it.') as string });
    expect((await readdir(folder)).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('judges by another file, in JSON', async () => {
    const [data, test] = [await write('b.jsonl', lines(80)), await write('c.jsonl', lines(60))];
    const { stdout } = await run(['tune', 'cascade', data, '--test', test, '--by', 'prompt', '--json']);
    const report = JSON.parse(stdout) as { tested: object; table: { strong_share: number; prompt: { value: number } }[] };
    expect(report.tested).toEqual({ questions: 60, by: 'another file' });
    expect(report.table.map((row) => row.strong_share)).toEqual([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
  });

  it('learns by prompts alone where answers are missing, and says so', async () => {
    const data = await write('d.jsonl', `${lines(60)}\n${lines(20, { cheap_answer: undefined })}`);
    const { stdout } = await run(['tune', 'cascade', data]);
    expect(stdout).toContain('use it with tiers.decide: prompt');
    expect(await run(['tune', 'cascade', data, '--by', 'answer'])).toMatchObject({
      code: 1,
      stderr: 'autoglm: --by answer needs a cheap_answer in every outcome.\n',
    });
  });

  it.each([
    ['no JSON', 'hello', 'e.jsonl:1: this is not JSON'],
    ['an array', '[]', 'e.jsonl:1: this is no JSON object'],
    ['no prompt', '{"cheap_ok":true,"strong_ok":true}', 'prompt must be a text'],
    ['a number for a truth', '{"prompt":"a","cheap_ok":1,"strong_ok":true}', 'cheap_ok must be true or false'],
    [
      'scores that are none',
      '{"prompt":"a","cheap_ok":true,"strong_ok":true,"cheap_scores":{"a":"b"}}',
      'cheap_scores must be an object of numbers',
    ],
    [
      'one question many times',
      Array.from({ length: 60 }, () => '{"prompt":"a","cheap_ok":true,"strong_ok":true}').join('\n'),
      'the 60 outcomes are of 1 different question; at least 50 are needed',
    ],
    [
      'numbers of no prompt',
      '{"id":"a","at_ms":1,"prompt_numbers":{},"cheap_ok":true,"strong_ok":true}',
      'prompt_numbers must be an object of numbers, characters among them',
    ],
    ['too few', '{"prompt":"a","cheap_ok":true,"strong_ok":true}', 'has 1 outcome; at least 50 are needed'],
  ])('refuses %s', async (_, text, message) => {
    const { code, stderr } = await run(['tune', 'cascade', await write('e.jsonl', text)]);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });

  it('writes over nothing that it reads, and over no folder', async () => {
    const data = await write('f.jsonl', lines(60));
    const before = readFileSync(data, 'utf8');
    const link = path.join(folder, 'link.jsonl');
    await symlink(data, link);
    for (const out of [data, link]) {
      expect(await run(['tune', 'cascade', data, '--out', out, '--force'])).toMatchObject({
        code: 1,
        stderr: `autoglm: ${out} is a file of outcomes: choose another name.\n`,
      });
      expect(await run(['tune', 'cascade', await write('g.jsonl', lines(60)), '--test', data, '--out', out, '--force'])).toMatchObject({
        code: 1,
      });
    }
    expect(readFileSync(data, 'utf8')).toBe(before);
    expect(await run(['tune', 'cascade', data, '--out', folder, '--force'])).toMatchObject({
      code: 1,
      stderr: `autoglm: ${folder} is a folder: name the file to write.\n`,
    });
  });

  it('leaves nothing when it is interrupted while it learns', async () => {
    const home = await mkdtemp(path.join(folder, 'interrupted-'));
    const program = start(['tune', 'cascade', await write('h.jsonl', lines(2000)), '--out', path.join(home, 'policy.json')]);
    await program.saidOn('stderr', /learning/);
    program.child.kill('SIGINT');
    await program.ended;
    expect(program.stdout).toBe('');
    expect(await readdir(home)).toEqual([]);
  });

  it('refuses a file that is not there', async () => {
    expect((await run(['tune', 'cascade', 'nowhere.jsonl'])).stderr).toMatch(/^autoglm: nowhere.jsonl cannot be read: ENOENT/);
  });

  it.skipIf(!existsSync(gsm8k))(
    'is surer than the length of the prompt on recorded outcomes: learned from one half, judged on the other',
    async () => {
      const recorded = readFileSync(gsm8k, 'utf8').trim().split('\n');
      const [data, test] = [
        await write('even.jsonl', recorded.filter((_, index) => index % 2 === 0).join('\n')),
        await write('odd.jsonl', recorded.filter((_, index) => index % 2 === 1).join('\n')),
      ];
      const { stdout } = await run(['tune', 'cascade', data, '--test', test, '--by', 'answer', '--json']);
      const { table } = JSON.parse(stdout) as { table: { strong_share: number; length: { value: number }; answer: { value: number } }[] };
      const half = table.find((row) => row.strong_share === 0.5);
      expect(half?.answer.value).toBeGreaterThan(half?.length.value as number);
    },
  );
});
