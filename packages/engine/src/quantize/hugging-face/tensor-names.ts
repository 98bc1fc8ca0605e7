/** What a tensor of `transformers` is in a GGUF. */
export interface TensorPlace {
  /** GGUF's name. */
  readonly name: string;
  /** Rows are of heads whose halves RoPE pairs, where GGUF wants neighbours. */
  readonly heads: 'query' | 'key' | undefined;
}

const top: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'model.embed_tokens.weight': 'token_embd.weight',
    'model.norm.weight': 'output_norm.weight',
    'lm_head.weight': 'output.weight',
  }),
);

const layer: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'input_layernorm.weight': 'attn_norm.weight',
    'self_attn.q_proj.weight': 'attn_q.weight',
    'self_attn.q_proj.bias': 'attn_q.bias',
    'self_attn.k_proj.weight': 'attn_k.weight',
    'self_attn.k_proj.bias': 'attn_k.bias',
    'self_attn.v_proj.weight': 'attn_v.weight',
    'self_attn.v_proj.bias': 'attn_v.bias',
    'self_attn.o_proj.weight': 'attn_output.weight',
    'self_attn.q_norm.weight': 'attn_q_norm.weight',
    'self_attn.k_norm.weight': 'attn_k_norm.weight',
    'mlp.gate_proj.weight': 'ffn_gate.weight',
    'mlp.up_proj.weight': 'ffn_up.weight',
    'mlp.down_proj.weight': 'ffn_down.weight',
    'mlp.gate_up_proj.weight': 'ffn_up.weight',
    'post_self_attn_layernorm.weight': 'post_attention_norm.weight',
    'post_mlp_layernorm.weight': 'post_ffw_norm.weight',
    'post_attention_layernorm.weight': 'ffn_norm.weight',
  }),
);

/** Undefined for a tensor that no known family has. */
export function placeOf(name: string, architecture: string): TensorPlace | undefined {
  const named = top.get(name);
  if (named) return { name: named, heads: undefined };
  const [, index, part = ''] = /^model\.layers\.(\d+)\.(.+)$/.exec(name) ?? [];
  const found = layer.get(part);
  if (index === undefined || found === undefined) return undefined;
  const isPaired = architecture === 'llama';
  const heads =
    isPaired && part.startsWith('self_attn.q_proj') ? 'query' : isPaired && part.startsWith('self_attn.k_proj') ? 'key' : undefined;
  return { name: `blk.${index}.${found}`, heads };
}

/** What follows from the configuration. */
export function isDerived(name: string): boolean {
  return name.endsWith('rotary_emb.inv_freq');
}
