import { open } from 'node:fs/promises';
import { loadGgml } from '../../src/ggml/library.ts';
import { GgmlType } from '../../src/ggml/types.ts';
import { writeGguf, type GgufTensorSource, type GgufValue } from '../../src/models/gguf-writer.ts';
import { wordPieceMetadata } from '../../src/models/wordpiece.ts';
import { createRandom, type Random } from '../../src/sampler/random.ts';

export interface TinyBertOptions {
  readonly seed: number;
  readonly pooling?: 'mean' | 'cls' | 'last';
  readonly type?: 'f32' | 'f16' | 'q8_0';
  /** Of the value projections, where it shall differ from the others'. */
  readonly valueType?: 'f32' | 'f16' | 'q8_0';
  readonly layers?: number;
  readonly hidden?: number;
  readonly heads?: number;
  readonly contextLength?: number;
}

const types = { f32: GgmlType.F32, f16: GgmlType.F16, q8_0: GgmlType.Q8_0 } as const;
const poolingTypes = { mean: 1, cls: 2, last: 3 } as const;

/** Words of its vocabulary, beside single characters. */
const words = ['hello', 'world', 'embed', '##ding', 'un', '##believ', '##able', 'price', 'the', 'cat'];
const characters = [...'abcdefghijklmnopqrstuvwxyz0123456789,.!?[]()-/中国的首都是北京你好世界今天气很多少'];

export const tinyVocabulary: readonly string[] = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  '[MASK]',
  ...words,
  ...characters,
  ...characters.map((character) => `##${character}`),
];

/** A GGUF of a BERT of random weights and a small WordPiece vocabulary. */
export async function writeTinyBert(
  file: string,
  { seed, pooling = 'mean', type = 'f32', valueType = type, layers = 2, hidden = 64, heads = 4, contextLength = 128 }: TinyBertOptions,
): Promise<void> {
  const random = createRandom(seed);
  const feedForward = 2 * hidden;
  const matrix = (name: string, columns: number, rows: number, as = type): GgufTensorSource => ({
    name,
    type: types[as],
    shape: [columns, rows],
    read: () => uniform(random, columns * rows, 0, Math.sqrt(3 / columns)),
  });
  const vector = (name: string, length: number, centre: number): GgufTensorSource => ({
    name,
    type: GgmlType.F32,
    shape: [length],
    read: () => uniform(random, length, centre, 0.3),
  });
  const norm = (name: string) => [vector(`${name}.weight`, hidden, 1), vector(`${name}.bias`, hidden, 0)];
  const linear = (name: string, columns: number, rows: number, as = type) => [
    matrix(`${name}.weight`, columns, rows, as),
    vector(`${name}.bias`, rows, 0),
  ];
  const key = (name: string, value: number): [string, GgufValue] => [`bert.${name}`, { type: 'u32', value }];
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: 'bert' }],
    key('block_count', layers),
    key('context_length', contextLength),
    key('embedding_length', hidden),
    key('feed_forward_length', feedForward),
    key('attention.head_count', heads),
    key('pooling_type', poolingTypes[pooling]),
    ['bert.attention.layer_norm_epsilon', { type: 'f32', value: 1e-12 }],
    ['bert.attention.causal', { type: 'bool', value: false }],
    ...wordPieceMetadata({
      model: {
        type: 'WordPiece',
        unk_token: '[UNK]',
        continuing_subword_prefix: '##',
        vocab: Object.fromEntries(tinyVocabulary.map((token, id) => [token, id])),
      },
    }),
  ]);
  const tensors = [
    matrix('token_embd.weight', hidden, tinyVocabulary.length),
    matrix('position_embd.weight', hidden, contextLength, 'f32'),
    matrix('token_types.weight', hidden, 2, 'f32'),
    ...norm('token_embd_norm'),
    ...Array.from({ length: layers }, (_, index) => [
      ...linear(`blk.${index}.attn_q`, hidden, hidden),
      ...linear(`blk.${index}.attn_k`, hidden, hidden),
      ...linear(`blk.${index}.attn_v`, hidden, hidden, valueType),
      ...linear(`blk.${index}.attn_output`, hidden, hidden),
      ...norm(`blk.${index}.attn_output_norm`),
      ...linear(`blk.${index}.ffn_up`, hidden, feedForward),
      ...linear(`blk.${index}.ffn_down`, feedForward, hidden),
      ...norm(`blk.${index}.layer_output_norm`),
    ]).flat(),
  ];
  const handle = await open(file, 'w');
  try {
    await writeGguf(loadGgml(), handle, { metadata, tensors });
  } finally {
    await handle.close();
  }
}

/** Numbers in [centre − radius, centre + radius). */
function uniform(random: Random, count: number, centre: number, radius: number): Float32Array {
  const values = new Float32Array(count);
  for (let index = 0; index < count; index += 1) values[index] = centre + radius * (random() * 2 - 1);
  return values;
}
