import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openGguf } from '../../src/ggml/gguf.ts';
import { loadGgml } from '../../src/ggml/library.ts';
import { readGgufHeader } from '../../src/models/gguf-header.ts';
import { resolveModel } from '../../src/models/resolve.ts';
import { openSource, quantizeModel } from '../../src/quantize/quantize.ts';
import { openReference } from '../../src/reference/libllama.ts';
import { openTestModel } from '../support/default-model.ts';
import { writeHuggingFaceFolder } from '../support/hugging-face-folder.ts';
import { writeTinyModel, type TinyModelOptions } from '../support/tiny-model.ts';

const ggml = loadGgml();

/** One of the folder's JSON files. */
interface Parsed {
  [key: string]: unknown;
  model: { type: string; vocab: Record<string, unknown>; merges?: string[][] };
  added_tokens: unknown[];
}

async function tensorsOf(file: string): Promise<Map<string, Buffer>> {
  const gguf = openGguf(ggml, file);
  const bytes = await readFile(file);
  const tensors = new Map([...gguf.tensors.values()].map(({ name, offset, size }) => [name, bytes.subarray(offset, offset + size)]));
  gguf.close();
  return tensors;
}

describe('a folder as Hugging Face has it', () => {
  let home: string;
  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'autoglm-hugging-face-'));
  });
  afterAll(() => rm(home, { recursive: true }));

  async function make(
    name: string,
    options: Partial<TinyModelOptions>,
    folderOptions: Parameters<typeof writeHuggingFaceFolder>[2] = {},
  ): Promise<{ gguf: string; folder: string }> {
    const [gguf, folder] = [path.join(home, `${name}.gguf`), path.join(home, name)];
    await writeTinyModel(gguf, { architecture: 'llama', seed: 5, type: 'f32', ...options });
    await writeHuggingFaceFolder(folder, gguf, folderOptions);
    return { gguf, folder };
  }

  const models: readonly (readonly [string, Partial<TinyModelOptions>, Parameters<typeof writeHuggingFaceFolder>[2]?])[] = [
    ['llama, in three files', { headLength: 32 }, { shards: 3 }],
    ['llama with biases', { attentionBias: true }],
    ['qwen2', { architecture: 'qwen2' }],
    ['qwen3, tied', { architecture: 'qwen3', tiedEmbeddings: true }, { config: { tie_word_embeddings: true } }],
    ['glm4', { architecture: 'glm4', ropeDimensions: 8, attentionBias: true }],
  ];
  for (const [name, options, folderOptions] of models) {
    it(`has the weights, hyperparameters and tokens that it should: ${name}`, async () => {
      const { gguf, folder } = await make(name, options, folderOptions);
      const target = path.join(home, 'converted.gguf');
      await quantizeModel(await openSource(folder), target, { type: undefined, threads: 2 });
      const [expected, found] = [await tensorsOf(gguf), await tensorsOf(target)];
      expect([...found.keys()].toSorted()).toEqual([...expected.keys()].toSorted());
      for (const [tensor, bytes] of expected) expect(found.get(tensor)?.equals(bytes), tensor).toBe(true);
      const [before, after] = [await readGgufHeader(gguf), await readGgufHeader(target)];
      for (const [key, value] of before.values) if (!key.startsWith('general.')) expect(after.values.get(key), key).toEqual(value);
      // libllama finds nothing missing, and the engine computes.
      openReference({ modelPath: target, threads: 1, contextLength: 256, maxSequences: 1 }).close();
      const model = openTestModel(target);
      expect(model.runner.prefill(0, Int32Array.of(1, 2, 3), 0, true)?.every(Number.isFinite)).toBe(true);
      model.close();
    });
  }

  it('is loaded as int8, or as is asked for, by its path', async () => {
    const { folder } = await make('served', { architecture: 'qwen3', hidden: 256, feedForward: 512 });
    const cache = path.join(home, 'cache');
    for (const [quantization, fileType] of [
      [undefined, 7],
      ['none', 1],
      ['int8', 7],
      ['int4', 15],
    ] as const) {
      const { path: file, source } = await resolveModel({ model: folder, home: cache, quantization });
      expect(source).toBe('served');
      expect((await readGgufHeader(file)).number('general.file_type')).toBe(fileType);
    }
    expect((await readdir(path.join(cache, 'quantized'))).filter((name) => name.endsWith('.gguf'))).toHaveLength(3);
  });

  it('scales RoPE as Llama 3.1 does', async () => {
    const { folder } = await make(
      'scaled',
      { headLength: 32 },
      {
        config: {
          rope_theta: 500_000,
          rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 },
        },
      },
    );
    const target = path.join(home, 'scaled.out.gguf');
    await quantizeModel(await openSource(folder), target, { type: 'f16', threads: 1 });
    const bytes = (await tensorsOf(target)).get('rope_freqs.weight') as Buffer;
    const factors = [...new Float32Array(Uint8Array.from(bytes).buffer)];
    expect(factors).toHaveLength(16);
    expect(factors.slice(0, 8)).toEqual(Array.from({ length: 8 }, () => 1));
    expect(factors.at(-1)).toBe(8);
    expect(factors).toEqual(factors.toSorted((a, b) => a - b));
  });

  it('cuts numbers as its pre-tokenizer says', async () => {
    const { folder } = await make('split', { architecture: 'qwen2' });
    const file = path.join(folder, 'tokenizer.json');
    const tokenizer = JSON.parse(await readFile(file, 'utf8')) as object;
    const pattern = (digits: string) =>
      String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|` +
      digits +
      String.raw`| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
    const names: (string | undefined)[] = [];
    for (const digits of ['\\p{N}', '\\p{N}{1,3}']) {
      const split = {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: pattern(digits) }, behavior: 'Isolated' },
          { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
        ],
      };
      await writeFile(file, JSON.stringify({ ...tokenizer, pre_tokenizer: split }));
      const target = path.join(home, 'split.out.gguf');
      await quantizeModel(await openSource(folder), target, { type: 'q8_0', threads: 1 });
      names.push((await readGgufHeader(target)).string('tokenizer.ggml.pre'));
      const reference = openReference({ modelPath: target, threads: 1, contextLength: 256, maxSequences: 1 });
      expect(reference.tokenize('1234567', { parseControl: false }).length).toBeGreaterThanOrEqual(digits === '\\p{N}' ? 7 : 3);
      reference.close();
    }
    expect(names).toEqual(['qwen2', 'llama-bpe']);
  });

  const refused: readonly (readonly [string, object, RegExp])[] = [
    ['an unknown family', { model_type: 'mamba' }, /model_type is "mamba", and this engine knows llama, qwen2, qwen3, glm4/],
    ['quantized weights', { quantization_config: { quant_method: 'gptq' } }, /quantized already/],
    ['another scaling of RoPE', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, /scales RoPE by "yarn"/],
    ['a sliding window', { use_sliding_window: true }, /use_sliding_window/],
    ['another activation', { hidden_act: 'gelu' }, /hidden_act is "gelu"/],
    ['a size that is missing', { hidden_size: undefined }, /hidden_size is missing/],
    ['a size that is no number', { num_key_value_heads: '2' }, /num_key_value_heads is "2"/],
    ['half a layer', { num_hidden_layers: 0.5 }, /num_hidden_layers is 0\.5/],
    ['heads that cannot be shared out', { num_key_value_heads: 3 }, /num_attention_heads, 4, is no multiple of num_key_value_heads, 3/],
    ['heads of an odd length', { head_dim: 15 }, /heads have 15 dimensions/],
    ['a base of RoPE that is no number', { rope_theta: 'abc' }, /rope_theta is "abc"/],
    ['a scaling of RoPE that is no object', { rope_scaling: 'linear' }, /rope_scaling is "linear"/],
    ['a scaling of RoPE by nothing', { rope_scaling: { type: 'linear', factor: 0 } }, /rope_scaling\.factor is 0/],
    ['more layers than it has', { num_hidden_layers: 2 }, /blk\.1\.attn_norm\.weight is missing/],
    ['more layers than there is memory for their names', { num_hidden_layers: 1 << 24 }, /blk\.1\.attn_norm\.weight is missing/],
    [
      'another width than its tensors have',
      { intermediate_size: 64 },
      /blk\.0\.ffn_gate\.weight is 64 × 128, and by its config\.json 64 × 64/,
    ],
    [
      'another vocabulary than its tensors have',
      { vocab_size: 6464 },
      /token_embd\.weight is 64 × 6400, and by its config\.json 64 × 6464/,
    ],
  ];
  it.each(refused)('is refused for %s', async (name, config, message) => {
    const { folder } = await make(`refused-${name}`, { layers: 1 }, { config });
    await expect(openSource(folder)).rejects.toThrow(message);
  });

  it('is refused where tensors are missing that no index names, or have no place', async () => {
    const { folder } = await make('no-index', { layers: 2, tiedEmbeddings: true }, { shards: 2, config: { tie_word_embeddings: true } });
    await rm(path.join(folder, 'model-00002-of-00002.safetensors'));
    await rm(path.join(folder, 'model.safetensors.index.json'));
    await expect(openSource(folder)).rejects.toThrow(/the tensor that a GGUF calls \S+ is missing/);
    const fewer = await make('fewer-layers', { layers: 2 }, { config: { num_hidden_layers: 1 } });
    await expect(openSource(fewer.folder)).rejects.toThrow(/blk\.1\.\S+ has no place in a model of its config\.json/);
    const headless = await make('headless', { layers: 1, tiedEmbeddings: true }, { config: { tie_word_embeddings: false } });
    await expect(openSource(headless.folder)).rejects.toThrow(/output\.weight is missing/);
  });

  async function change(folder: string, name: string, edit: (content: Parsed) => unknown): Promise<void> {
    const file = path.join(folder, name);
    const content = JSON.parse(await readFile(file, 'utf8').catch(() => '{}')) as Parsed;
    const changed = edit(content);
    await writeFile(file, JSON.stringify(changed === undefined ? content : changed));
  }

  it('may have more rows than tokens, as Qwen has', async () => {
    const { folder } = await make('padded', { layers: 1 });
    await change(folder, 'tokenizer.json', ({ model }) => {
      model.vocab = Object.fromEntries(Object.entries(model.vocab).filter(([, id]) => (id as number) < 6300 && id !== 5000));
      model.merges = (model.merges ?? []).filter((pair) => Object.hasOwn(model.vocab, pair.join('')));
    });
    const target = path.join(home, 'padded.out.gguf');
    await quantizeModel(await openSource(folder), target, { type: 'q8_0', threads: 1 });
    expect((await readGgufHeader(target)).count('tokenizer.ggml.tokens')).toBe(6400);
    expect((await readGgufHeader(target)).number('llama.vocab_size')).toBe(6400);
    openReference({ modelPath: target, threads: 1, contextLength: 256, maxSequences: 1 }).close();
    const model = openTestModel(target);
    expect(model.vocabulary.name(5000)).toBe('[PAD5000]');
    expect(model.runner.prefill(0, Int32Array.of(1, 2, 6399), 0, true)).toHaveLength(6400);
    model.close();
  });

  it('ends answers where its generation_config.json says', async () => {
    const { folder } = await make('ends', { layers: 1 });
    await change(folder, 'generation_config.json', (config) => void (config['eos_token_id'] = [2, 300, 301]));
    const target = path.join(home, 'ends.out.gguf');
    await quantizeModel(await openSource(folder), target, { type: 'q8_0', threads: 1 });
    const model = openTestModel(target);
    expect([2, 300, 301, 302].map((id) => model.vocabulary.endsGeneration(id))).toEqual([true, true, true, false]);
    model.close();
  });

  it('has the default one of several chat templates', async () => {
    const { folder } = await make('templates', { layers: 1 });
    await change(
      folder,
      'tokenizer_config.json',
      (config) =>
        void (config['chat_template'] = [
          { name: 'tool_use', template: 'tools' },
          { name: 'default', template: 'plain' },
        ]),
    );
    const source = await openSource(folder);
    expect(source.metadata.get('tokenizer.chat_template')?.value).toBe('plain');
  });

  const strangers: readonly (readonly [string, string, (content: Parsed) => unknown, RegExp])[] = [
    ['a configuration that is none', 'config.json', () => null, /config\.json is no JSON object/],
    ['a tokenizer that is none', 'tokenizer.json', () => [], /tokenizer\.json is no JSON object/],
    ['a tokenizer without a model', 'tokenizer.json', () => ({}), /tokenizer\.json: it has no model/],
    ['another tokenizer', 'tokenizer.json', ({ model }) => void (model.type = 'Unigram'), /tokenizer\.json: its model is "Unigram"/],
    ['a tokenizer without pairs', 'tokenizer.json', ({ model }) => void delete model.merges, /model\.merges is no list/],
    ['a token without a number', 'tokenizer.json', ({ model }) => void (model.vocab['zzz'] = 'x'), /gives the token zzz the number "x"/],
    [
      'a token beyond the embedding',
      'tokenizer.json',
      ({ model }) => void (model.vocab['zzz'] = 4e9),
      /token zzz has the number 4000000000, and there are 6400/,
    ],
    [
      'a token that stands twice',
      'tokenizer.json',
      (tokenizer) => void tokenizer.added_tokens.push({ id: 6399, content: '<|im_end|>', special: true }),
      /stands twice/,
    ],
  ];
  it.each(strangers)('is refused for %s', async (name, file, edit, message) => {
    const { folder } = await make(`strange-${name.replaceAll(' ', '-')}`, { layers: 1 });
    await change(folder, file, edit);
    await expect(openSource(folder)).rejects.toThrow(message);
  });

  it('is refused when it is not whole', async () => {
    const { folder } = await make('cut', { layers: 1 }, { shards: 2 });
    const shard = path.join(folder, 'model-00002-of-00002.safetensors');
    await truncate(shard, (await readFile(shard)).length - 4);
    await expect(openSource(folder)).rejects.toThrow(/does not lie where its header says/);
    await truncate(shard, 100);
    await expect(openSource(folder)).rejects.toThrow(/ends inside its header/);
    await rm(shard);
    await expect(openSource(folder)).rejects.toThrow(/model-00002-of-00002\.safetensors, which its index names, is missing/);
    const { folder: mute } = await make('mute', { layers: 1 });
    await writeFile(path.join(mute, 'model.safetensors.index.json'), '{}');
    await rm(path.join(mute, 'tokenizer.json'));
    await expect(openSource(mute)).rejects.toThrow(/tokenizer\.json is missing/);
  });
});
