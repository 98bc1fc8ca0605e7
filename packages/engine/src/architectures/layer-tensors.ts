/** Which tensors the layers of a family have, beside those that all families have. */
export interface LayerTensors {
  /** Biases of q, k and v. */
  readonly attentionBias: 'always' | 'never' | 'if-present';
  /** RMS norms over each head of q and k, before RoPE. */
  readonly headNorms: boolean;
  /** RMS norms over what attention and feed-forward give, before it is added. */
  readonly postNorms: boolean;
  /** Gate and up are one matrix, stored as `ffn_up`: gate's rows first. */
  readonly fusedGateUp: boolean;
}
