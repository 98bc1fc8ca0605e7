/** The id of the greatest logit; of equals the lowest; NaN never wins. 0 when none is greater than −∞. */
export function argmax(logits: Float32Array): number {
  const { length } = logits; // reading it in the loop costs more than the comparison does
  let best = 0;
  let greatest = -Infinity;
  for (let id = 0; id < length; id += 1) {
    const logit = logits[id] as number;
    if (logit > greatest) {
      greatest = logit;
      best = id;
    }
  }
  return best;
}
