interface Sliceable<Piece> {
  readonly length: number;
  slice(start: number, end: number): Piece;
}

/** The pieces of `whole` cut at `places`, each taken modulo its length. */
export function cut<Piece>(whole: Sliceable<Piece>, places: readonly number[]): Piece[] {
  const inside = places.map((place) => place % (whole.length + 1)).sort((a, b) => a - b);
  const borders = [0, ...inside, whole.length];
  return borders.slice(1).map((end, index) => whole.slice(borders[index] as number, end));
}
