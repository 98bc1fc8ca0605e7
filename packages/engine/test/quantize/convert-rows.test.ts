import { describe, expect, it } from 'vitest';
import { loadGgml } from '../../src/ggml/library.ts';
import { GgmlType } from '../../src/ggml/types.ts';
import { convertRows } from '../../src/quantize/convert-rows.ts';

describe('convertRows', () => {
  it('rejects with the error of a piece, also of one that fails before its turn', async () => {
    const columns = 256;
    async function* pieces() {
      yield new Uint8Array(columns * 4 * 4096);
      // No whole number of floats.
      yield new Uint8Array(3);
    }
    // An error that nobody looked at would fail the test run.
    await expect(Array.fromAsync(convertRows(loadGgml(), pieces(), { from: GgmlType.F32, to: GgmlType.Q8_0, columns }, 2))).rejects.toThrow(RangeError);
  });
});
