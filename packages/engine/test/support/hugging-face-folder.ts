import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { openGguf } from '../../src/ggml/gguf.ts';
import { loadGgml } from '../../src/ggml/library.ts';
import { locateInstalledPackage, weightsPackage } from '../../src/models/weights-package.ts';

/** The folder that `transformers` would have saved for an f32 GGUF of the default model's tokenizer. */
export async function writeHuggingFaceFolder(
  folder: string,
  gguf: string,
  options: { readonly shards?: number; readonly config?: object } = {},
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const header = openGguf(loadGgml(), gguf);
  const bytes = await readFile(gguf);
  const architecture = header.string('general.architecture') as string;
  const number = (key: string) => header.number(`${architecture}.${key}`) as number;
  const headLength = number('attention.key_length');
  const tensors = [...header.tensors.values()].map(({ name, shape, offset, size }) => {
    const data = bytes.subarray(offset, offset + size);
    const isPaired = architecture === 'llama' && /attn_[qk]\./.test(name);
    const rowBytes = shape[1] > 1 ? shape[0] * 4 : 4;
    return {
      name: theirName(name, architecture),
      shape: shape[1] > 1 ? [shape[1], shape[0]] : [shape[0]],
      data: isPaired ? separateHalves(data, rowBytes, headLength) : data,
    };
  });
  const shards = options.shards ?? 1;
  const files = Array.from({ length: shards }, (_, index) =>
    shards === 1 ? 'model.safetensors' : `model-0000${index + 1}-of-0000${shards}.safetensors`,
  );
  for (const [index, file] of files.entries())
    await writeFile(path.join(folder, file), safetensors(tensors.filter((_, at) => at % shards === index)));
  if (shards > 1)
    await writeFile(
      path.join(folder, 'model.safetensors.index.json'),
      JSON.stringify({ weight_map: Object.fromEntries(tensors.map(({ name }, at) => [name, files[at % shards]])) }),
    );
  const config = {
    model_type: architecture,
    hidden_size: number('embedding_length'),
    intermediate_size: number('feed_forward_length'),
    num_hidden_layers: number('block_count'),
    num_attention_heads: number('attention.head_count'),
    num_key_value_heads: number('attention.head_count_kv'),
    head_dim: headLength,
    max_position_embeddings: number('context_length'),
    rms_norm_eps: number('attention.layer_norm_rms_epsilon'),
    rope_theta: number('rope.freq_base'),
    partial_rotary_factor: number('rope.dimension_count') / headLength,
    hidden_act: 'silu',
    vocab_size: number('vocab_size'),
    ...options.config,
  };
  header.close();
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await cp(path.join(locateInstalledPackage(weightsPackage.name), name), path.join(folder, name));
}

/** Row t · length/2 + j of a head from its row 2j + t. */
function separateHalves(data: Buffer, rowBytes: number, headLength: number): Buffer {
  const result = Buffer.alloc(data.length);
  for (let head = 0; head * headLength * rowBytes < data.length; head += 1) {
    for (let t = 0; t < 2; t += 1) {
      for (let j = 0; j < headLength / 2; j += 1) {
        const from = (head * headLength + 2 * j + t) * rowBytes;
        data.copy(result, (head * headLength + (t * headLength) / 2 + j) * rowBytes, from, from + rowBytes);
      }
    }
  }
  return result;
}

function theirName(name: string, architecture: string): string {
  const top: Record<string, string> = {
    'token_embd.weight': 'model.embed_tokens.weight',
    'output_norm.weight': 'model.norm.weight',
    'output.weight': 'lm_head.weight',
  };
  if (top[name]) return top[name];
  const [, layer, part = '', kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const parts: Record<string, string> = {
    attn_norm: 'input_layernorm',
    attn_q: 'self_attn.q_proj',
    attn_k: 'self_attn.k_proj',
    attn_v: 'self_attn.v_proj',
    attn_output: 'self_attn.o_proj',
    attn_q_norm: 'self_attn.q_norm',
    attn_k_norm: 'self_attn.k_norm',
    ffn_norm: 'post_attention_layernorm',
    ffn_gate: 'mlp.gate_proj',
    ffn_up: architecture === 'glm4' ? 'mlp.gate_up_proj' : 'mlp.up_proj',
    ffn_down: 'mlp.down_proj',
    post_attention_norm: 'post_self_attn_layernorm',
    post_ffw_norm: 'post_mlp_layernorm',
  };
  return `model.layers.${layer}.${parts[part]}.${kind}`;
}

function safetensors(tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly data: Buffer }[]): Buffer {
  let offset = 0;
  const entries = tensors.map(({ name, shape, data }) => [name, { dtype: 'F32', shape, data_offsets: [offset, (offset += data.length)] }]);
  const header = Buffer.from(JSON.stringify(Object.fromEntries([['__metadata__', { format: 'pt' }], ...entries])));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, ...tensors.map(({ data }) => data)]);
}
