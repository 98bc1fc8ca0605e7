import type { GraphBuilder, Tensor } from '../runner/graph-builder.ts';
import type { LayerWeights } from '../runner/weights.ts';

/** x + norm(attention(norm(x))), then x + norm(feedForward(norm(x))). The weights must have the post norms. */
export function sandwichNormLayer(
  graph: GraphBuilder,
  x: Tensor,
  weights: LayerWeights,
  outputs: (x: Tensor) => Tensor = (all) => all,
): Tensor {
  const attention = graph.matmul(weights.attentionOutput, outputs(graph.attention(graph.norm(x, weights.attentionNorm), weights)));
  const attended = graph.add(outputs(x), graph.norm(attention, weights.attentionPostNorm as Tensor));
  const feedForward = graph.feedForward(graph.norm(attended, weights.feedForwardNorm), weights);
  return graph.add(attended, graph.norm(feedForward, weights.feedForwardPostNorm as Tensor));
}
