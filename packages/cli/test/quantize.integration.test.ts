import { cp, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { resolveModel } from '@open-autoglm/engine/models';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { QuantizeReport } from '../src/quantize/report.ts';
import { writeHuggingFaceFolder } from '../../engine/test/support/hugging-face-folder.ts';
import { writeTinyModel } from '../../engine/test/support/tiny-model.ts';
import { run, start } from './support.ts';

describe('autoglm quantize', () => {
  let folder: string;
  let source: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-cli-quantize-'));
    source = (await resolveModel({ model: 'default', quantization: 'none', home: process.env['AUTOGLM_HOME'] ?? folder })).path;
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('writes a model that answers, and reports sizes, memory and quality', async () => {
    const target = path.join(folder, 'q8.gguf');
    const { code, stdout, stderr } = await run(['quantize', source, target, '--type', 'q8_0', '--threads', '1', '--json']);
    expect(code, stderr).toBe(0);
    const report = JSON.parse(stdout) as QuantizeReport;
    expect(report).toMatchObject({ file: target, type: 'q8_0', sizes: { types: { Q8_0: 57, F32: 17 } }, memory: { contextLength: 8192 } });
    expect(report.sizes.bytes / report.sizes.sourceBytes).toBeCloseTo(0.53, 2);
    expect(report.quality?.map(({ name }) => name)).toEqual(['zh', 'en']);
    for (const { divergence, sameTop, perplexity } of report.quality ?? []) {
      expect(divergence.mean).toBeLessThan(0.02);
      expect(sameTop).toBeGreaterThan(0.9);
      // Of 6,400 tokens: without the token that begins a text the model does worse than chance.
      expect(perplexity.source).toBeLessThan(150);
      expect(perplexity.quantized / perplexity.source).toBeLessThan(1.05);
    }
    expect(
      (
        await run(['chat', '--model', target, '--temperature', '0', '--max-tokens', '20', '中国的首都是哪里？'], {
          env: { AUTOGLM_THREADS: '1' },
        })
      ).stdout,
    ).toContain('北京');
  });

  it('says more divergence of fewer bits, on a text of the user', async () => {
    const text = path.join(folder, 'text.txt');
    await writeFile(text, '<|im_start|>user\n今天天气很好，我们去公园散步吧。'.repeat(3));
    const reports: QuantizeReport[] = [];
    for (const type of ['q8_0', 'q4_k', 'q4_0']) {
      const { stdout } = await run([
        'quantize',
        source,
        path.join(folder, `${type}.gguf`),
        '--type',
        type,
        '--threads',
        '1',
        '--text',
        text,
        '--json',
      ]);
      reports.push(JSON.parse(stdout) as QuantizeReport);
    }
    const divergences = reports.map(({ quality }) => quality?.[0]?.divergence.mean as number);
    expect(divergences[0]).toBeLessThan(divergences[1] as number);
    expect(divergences[0]).toBeLessThan(divergences[2] as number);
    expect(reports[0]?.quality?.[0]?.name).toBe('text.txt');
  });

  it('takes a folder as Hugging Face has it, and compares with its weights', async () => {
    const home = await mkdtemp(path.join(folder, 'hf-'));
    const [gguf, source, target] = ['hf.gguf', 'hf', 'from-hf.gguf'].map((name) => path.join(home, name)) as [string, string, string];
    await writeTinyModel(gguf, { architecture: 'qwen3', seed: 2, type: 'f32' });
    await writeHuggingFaceFolder(source, gguf);
    const { code, stdout, stderr } = await run(['quantize', source, target, '--type', 'q8_0', '--threads', '1', '--json']);
    expect(code, stderr).toBe(0);
    const { quality, sizes } = JSON.parse(stdout) as QuantizeReport;
    expect(sizes.sourceBytes / sizes.bytes).toBeGreaterThan(3.5);
    expect(quality?.every(({ divergence }) => divergence.mean < 0.05)).toBe(true);
    expect((await readdir(home)).filter((name) => name.includes('tmp'))).toEqual([]);
  });

  it('does not write over what it reads, by whatever way the path leads there', async () => {
    const home = await mkdtemp(path.join(folder, 'over-'));
    const [gguf, source, link] = ['over.gguf', 'over', 'link'].map((name) => path.join(home, name)) as [string, string, string];
    await writeTinyModel(gguf, { architecture: 'qwen3', seed: 2, type: 'f32', layers: 1 });
    await writeHuggingFaceFolder(source, gguf);
    await symlink(home, link);
    const over = (from: string, to: string) => run(['quantize', from, to, '--type', 'q8_0', '--threads', '1', '--no-quality', '--force']);
    for (const into of [source, path.join(link, 'over')]) {
      expect(await over(source, path.join(into, 'model.safetensors'))).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('model.safetensors is a file of IN'),
      });
    }
    expect(await over(gguf, path.join(link, 'over.gguf'))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('OUT must be another file than IN'),
    });
  });

  it('says that a model is written where it cannot be compared, and why', async () => {
    const home = await mkdtemp(path.join(folder, 'unheard-'));
    const [gguf, target] = [path.join(home, 'unheard.gguf'), path.join(home, 'out.gguf')];
    await writeTinyModel(gguf, { architecture: 'unheard', seed: 2, type: 'f32', layers: 1 });
    const { code, stderr } = await run(['quantize', gguf, target, '--type', 'q8_0', '--threads', '1']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^autoglm: .*out\.gguf is written, but was not compared: libllama cannot load .*unheard/m);
    expect(await readdir(home)).toEqual(['out.gguf', 'unheard.gguf']);
  });

  it('tells people what it did', async () => {
    const target = path.join(folder, 'told.gguf');
    const { stdout, stderr } = await run(['quantize', source, target, '--type', 'q4_0', '--threads', '1', '--no-quality']);
    expect(stdout).toMatch(
      /^wrote .*told\.gguf\nsize {5}52 MB → 15 MB \(0\.\d\d×\): .*56 × Q4_0.*\nmemory {3}about \d+ MB: .*8,192 tokens\n$/,
    );
    expect(stderr).toContain('quantizing to q4_0: ');
    expect(stderr).not.toContain('comparing');
  });

  it.each([
    [['IN', 'IN', '--type', 'q8_0'], /OUT must be another file/],
    [['IN', 'FOLDER', '--type', 'q8_0'], /is a folder/],
    [['IN', 'TAKEN', '--type', 'q8_0'], /is there already.*--force/],
    [['TAKEN', 'NEW', '--type', 'q8_0'], /is not a GGUF file/],
    [['IN', 'IN/x', '--type', 'q8_0'], /cannot be written/],
    [['ABSENT', 'NEW', '--type', 'q8_0'], /no such file/],
    [['IN', 'NEW', '--type', 'q9'], /Allowed choices are/],
    [['IN', 'NEW'], /--type/],
    [['IN', 'NEW', '--type', 'q8_0', '--threads', '0'], /whole number from 1 to 512/],
    [['IN', 'NEW', '--type', 'q8_0', '--threads', '513'], /whole number from 1 to 512/],
    [['IN', 'NEW', '--type', 'q8_0', '--text', 'TAKEN', '--no-quality'], /--text is for comparing, and --no-quality/],
    [['IN', 'NEW', '--type', 'q8_0', '--text', 'ABSENT'], /--text .* cannot be read/],
    [['IN', 'TAKEN', '--type', 'q8_0', '--force', '--text', 'TAKEN'], /OUT must be another file than --text/],
    [['IN', 'NEW', '--type', 'q8_0', '--text', 'BLANK'], /--text .* has nothing to compare/],
  ])('refuses %j, and leaves nothing', async (args, message) => {
    const home = await mkdtemp(path.join(folder, 'refused-'));
    const taken = path.join(home, 'taken.gguf');
    await writeFile(taken, 'text');
    const blank = path.join(folder, 'blank.txt');
    await writeFile(blank, ' \n');
    const names: Record<string, string> = {
      IN: source,
      BLANK: blank,
      FOLDER: home,
      TAKEN: taken,
      NEW: path.join(home, 'new.gguf'),
      ABSENT: path.join(home, 'absent'),
    };
    const { code, stdout, stderr } = await run(['quantize', ...args.map((arg) => names[arg] ?? arg.replace(/^IN\//, `${source}/`))]);
    expect(code).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(await readdir(home)).toEqual(['taken.gguf']);
  });

  it('leaves nothing when it is interrupted', async () => {
    const home = await mkdtemp(path.join(folder, 'interrupted-'));
    await cp(source, path.join(home, 'in.gguf'));
    const program = start(['quantize', path.join(home, 'in.gguf'), path.join(home, 'out.gguf'), '--type', 'q4_k', '--threads', '1']);
    await program.saidOn('stderr', /quantizing to q4_k/);
    program.child.kill('SIGINT');
    expect(await program.ended).toBe(1);
    expect(program.stderr).toContain('stopped; nothing was written');
    expect(await readdir(home)).toEqual(['in.gguf']);
  });

  it('keeps what is whole when it is interrupted while it compares, and says so', async () => {
    const home = await mkdtemp(path.join(folder, 'compared-'));
    const target = path.join(home, 'out.gguf');
    const program = start(['quantize', source, target, '--type', 'q8_0', '--threads', '1']);
    await program.saidOn('stderr', /comparing the models/);
    program.child.kill('SIGINT');
    expect(await program.ended).toBe(1);
    expect(program.stderr).toContain(`stopped; ${target} is written`);
    expect(program.stderr).not.toContain('nothing was written');
    expect(await readdir(home)).toEqual(['out.gguf']);
  });
});
