/**
 * `transformers` pairs the two halves of a head in its rotary embedding; ggml's mode 0, which the llama architecture means, pairs
 * neighbours. Which row becomes the row at a place: row 2j + t of a head comes from its row t · length/2 + j.
 */
export function sourceOfHeadRow(row: number, headLength: number): number {
  const inHead = row % headLength;
  return row - inHead + (inHead % 2) * (headLength / 2) + Math.floor(inHead / 2);
}
