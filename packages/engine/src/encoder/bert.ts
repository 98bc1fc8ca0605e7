import type { EncoderGraph, Tensor } from './encoder-graph.ts';
import type { EncoderLayerWeights, EncoderWeights } from './encoder-weights.ts';

/** BERT (Devlin et al. 2018), as llama.cpp stores it: bge, MiniLM, e5, gte and others of its kind. */
export const bert = {
  name: 'bert',

  /** Words, places and the one kind of sentence, added and normed: [embeddingLength, tokens]. */
  embed(graph: EncoderGraph, weights: EncoderWeights): Tensor {
    const words = graph.rows(weights.tokenEmbedding, graph.inputs.tokens);
    const places = graph.rows(weights.positionEmbedding, graph.inputs.positions);
    const kind = graph.rows(weights.typeEmbedding, graph.inputs.type);
    return graph.norm(graph.add(graph.add(words, kind), places), weights.embeddingNorm);
  },

  /** norm(x + attention(x)), then norm(x + feedForward(x)). With `onlyFirst`, only each text's first token goes on after the attention. */
  layer(graph: EncoderGraph, x: Tensor, weights: EncoderLayerWeights, onlyFirst: boolean): Tensor {
    const attention = graph.linear(weights.attentionOutput, graph.attention(x, weights.attentionInput, onlyFirst));
    const attended = graph.norm(graph.add(attention, onlyFirst ? graph.rows(x, graph.inputs.firsts) : x), weights.attentionNorm);
    const inner = graph.gelu(graph.linear(weights.feedForwardInput, attended));
    return graph.norm(graph.add(graph.linear(weights.feedForwardOutput, inner), attended), weights.outputNorm);
  },
};
