const fnvOffset = 0x811c9dc5;
const fnvPrime = 0x01000193;

/** FNV-1a over UTF-16 code units, 32 bits; goes on from `seed`. Not for anything that an attacker gains by. */
export function hashText(text: string, seed = fnvOffset, from = 0, to = text.length): number {
  let hash = seed;
  for (let index = from; index < to; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), fnvPrime);
  return hash >>> 0;
}
