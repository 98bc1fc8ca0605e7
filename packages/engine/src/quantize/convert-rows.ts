import { AutoglmError } from '@open-autoglm/protocol';
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
type Async<F extends (...args: never[]) => unknown> = F & {
  async(...args: [...Parameters<F>, (error: Error | null, result: ReturnType<F>) => void]): void;
};

export interface Conversion {
  /** `enum ggml_type`, one of `fullTypes`. */
  readonly from: number;
  readonly to: number;
  readonly columns: number;
  /** For people: which tensor of which model. */
  readonly name: string;
}

/**
 * Whole rows of one type to the same rows of another, in order. Up to `threads` pieces are converted at once, on ggml's own
 * quantizers, off the event loop; so much is in memory, and no more. Pieces of the same type pass as they are. Rejects with
 * `engine_failed` where a value is no finite number, in the source or in the type that it becomes: whatever such a model is asked, it says
 * nothing.
 */
export async function* convertRows(
  ggml: Ggml,
  pieces: AsyncIterable<Uint8Array>,
  conversion: Conversion,
  threads: number,
): AsyncGenerator<Uint8Array> {
  if (conversion.from === conversion.to) {
    for await (const piece of pieces) {
      if (!isFinitePiece(piece, conversion.from)) throw notFinite(conversion.name);
      yield piece;
    }
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

async function convert(ggml: Ggml, piece: Uint8Array, { from, to, columns, name }: Conversion): Promise<Uint8Array> {
  if (!isFinitePiece(piece, from)) throw notFinite(name);
  const values = await toFloats(ggml, piece, from);
  const rows = values.length / columns;
  const bytes = new Uint8Array(ggml.rowSize(to, columns) * rows);
  await off(ggml.quantizeChunk, to, values, bytes, 0, rows, columns, null);
  if (to === GgmlType.F16 && !isFinitePiece(bytes, to))
    throw new AutoglmError('engine_failed', `${name} has values beyond what f16 holds (65,504): choose another type.`);
  return bytes;
}

/** The exponent's bits: all of them stand for infinity, or for no number. */
const exponents: Readonly<Record<number, number>> = { [GgmlType.F32]: 0x7f80_0000, [GgmlType.F16]: 0x7c00, [GgmlType.BF16]: 0x7f80 };

function isFinitePiece(piece: Uint8Array, type: number): boolean {
  const exponent = exponents[type] as number;
  const [length, isAligned] = [type === GgmlType.F32 ? 4 : 2, piece.byteOffset % 4 === 0];
  const { buffer, byteOffset } = isAligned ? piece : piece.slice();
  const count = Math.floor(piece.length / length);
  const words = length === 4 ? new Uint32Array(buffer, byteOffset, count) : new Uint16Array(buffer, byteOffset, count);
  for (let index = 0; index < count; index += 1) if (((words[index] as number) & exponent) === exponent) return false;
  return true;
}

function notFinite(name: string): AutoglmError {
  return new AutoglmError(
    'engine_failed',
    `${name} has values that are no numbers (NaN or infinite): the model was damaged when it was made or saved.`,
  );
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
