import { randomFillSync } from 'node:crypto';

const idBytes = 16;
/** Drawn at once: a call for each id would cost more than the id. */
const drawn = Buffer.alloc(idBytes * 256);
let taken = drawn.length;

/** 128 random bits in hexadecimal digits. */
export function newId(): string {
  if (taken === drawn.length) {
    randomFillSync(drawn);
    taken = 0;
  }
  taken += idBytes;
  return drawn.toString('hex', taken - idBytes, taken);
}
