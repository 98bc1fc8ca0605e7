/** The index of the greatest value; of equals the lowest; NaN never wins. 0 when nothing is greater than −∞. */
export function argmax(values: Float32Array): number {
  let best = 0;
  let greatest = -Infinity;
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index] as number;
    if (value > greatest) {
      greatest = value;
      best = index;
    }
  }
  return best;
}
