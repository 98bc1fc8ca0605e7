import type { Graph } from './graph.ts';

/** binary16: −∞, in the attention mask. */
export const maskedOut = 0xfc00;

/** Token i at place start + i looks at places 0 … start + i. */
export function maskCausally(graph: Graph, start: number, count: number): void {
  const { window } = graph.shape;
  for (let index = 0; index < count; index += 1) {
    const row = index * window;
    graph.mask.fill(0, row, row + start + index + 1);
    graph.mask.fill(maskedOut, row + start + index + 1, row + window);
  }
}
