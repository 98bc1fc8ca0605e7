import type { GraphBuilder, Tensor } from '../runner/graph-builder.ts';
import type { LayerWeights } from '../runner/weights.ts';

/** x + attention(norm(x)), then x + feedForward(norm(x)): the layer of llama and of what descends from it. */
export function preNormLayer(graph: GraphBuilder, x: Tensor, weights: LayerWeights, outputs: (x: Tensor) => Tensor = (all) => all): Tensor {
  const attention = graph.attention(graph.norm(x, weights.attentionNorm), weights);
  const attended = graph.add(outputs(x), graph.matmul(weights.attentionOutput, outputs(attention)));
  return graph.add(attended, graph.feedForward(graph.norm(attended, weights.feedForwardNorm), weights));
}
