import type { Ggml } from '../ggml/bindings.ts';
import { GgmlType } from '../ggml/types.ts';

/** Types whose values can be quantized without losing what they already lost. */
export const fullTypes: readonly number[] = [GgmlType.F32, GgmlType.F16, GgmlType.BF16];

/** Values that are in work at once for each thread, 4 bytes each. */
const pieceValues = 1 << 21;

/** Rows that make a piece. */
export function rowsPerPiece(columns: number): number {
  return Math.max(1, Math.floor(pieceValues / columns));
}

/** koffi runs a function on a thread of its own by this method. */
type Async<F extends (...args: never[]) => unknown> = F & { async(...args: [...Parameters<F>, (error: Error | null, result: ReturnType<F>) => void]): void };

export interface Conversion {
  /** `enum ggml_type`, one of `fullTypes`. */
  readonly from: number;
  readonly to: number;
  readonly columns: number;
}

/**
 * Whole rows of one type to the same rows of another, in order. Up to `threads` pieces are converted at once, on ggml's own
 * quantizers, off the event loop; so much is in memory, and no more. Pieces of the same type pass as they are.
 */
export async function* convertRows(ggml: Ggml, pieces: AsyncIterable<Uint8Array>, conversion: Conversion, threads: number): AsyncGenerator<Uint8Array> {
  if (conversion.from === conversion.to) {
    yield* pieces;
    return;
  }
  const running: Promise<Uint8Array>[] = [];
  try {
    for await (const piece of pieces) {
      const converted = convert(ggml, piece, conversion);
      // Awaited in its turn; one that fails before must not count as an error that nobody looks at, which ends the process.
      converted.catch(() => {});
      running.push(converted);
      if (running.length >= threads) yield await (running.shift() as Promise<Uint8Array>);
    }
    while (running.length > 0) yield await (running.shift() as Promise<Uint8Array>);
  } finally {
    // The threads write into memory that must live until they are done.
    await Promise.allSettled(running);
  }
}

async function convert(ggml: Ggml, piece: Uint8Array, { from, to, columns }: Conversion): Promise<Uint8Array> {
  const values = await toFloats(ggml, piece, from);
  const rows = values.length / columns;
  const bytes = new Uint8Array(ggml.rowSize(to, columns) * rows);
  await off(ggml.quantizeChunk, to, values, bytes, 0, rows, columns, null);
  return bytes;
}

async function toFloats(ggml: Ggml, piece: Uint8Array, type: number): Promise<Float32Array> {
  if (type === GgmlType.F32) return new Float32Array(piece.slice().buffer);
  const values = new Float32Array(piece.length / 2);
  await off(type === GgmlType.F16 ? ggml.halfToFloat : ggml.brainToFloat, piece, values, values.length);
  return values;
}

function off<F extends (...args: never[]) => unknown>(call: F, ...args: Parameters<F>): Promise<ReturnType<F>> {
  return new Promise((resolve, reject) => {
    (call as Async<F>).async(...args, (error, result) => (error ? reject(error) : resolve(result)));
  });
}
