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
    await expect(
      Array.fromAsync(convertRows(loadGgml(), pieces(), { from: GgmlType.F32, to: GgmlType.Q8_0, columns, name: 'a tensor' }, 2)),
    ).rejects.toThrow(RangeError);
  });

  const words: readonly (readonly [string, number, (value: number) => Uint8Array])[] = [
    ['f32', GgmlType.F32, (value) => new Uint8Array(Float32Array.of(...new Array<number>(31).fill(1), value).buffer)],
    [
      'f16',
      GgmlType.F16,
      (value) =>
        new Uint8Array(
          Uint16Array.of(...new Array<number>(31).fill(0x3c00), Number.isNaN(value) ? 0x7e00 : value === 1 ? 0x3c00 : 0xfc00).buffer,
        ),
    ],
    [
      'bf16',
      GgmlType.BF16,
      (value) =>
        new Uint8Array(
          Uint16Array.of(...new Array<number>(31).fill(0x3f80), Number.isNaN(value) ? 0x7fc0 : value === 1 ? 0x3f80 : 0xff80).buffer,
        ),
    ],
  ];
  for (const [name, from, encode] of words) {
    it(`refuses what is no finite number, and names the tensor: ${name}`, async () => {
      for (const to of [from, GgmlType.Q8_0]) {
        const converted = (value: number) =>
          Array.fromAsync(
            convertRows(
              loadGgml(),
              (async function* () {
                yield encode(value);
              })(),
              { from, to, columns: 32, name: 'the tensor x' },
              1,
            ),
          );
        for (const value of [Number.NaN, Number.NEGATIVE_INFINITY])
          await expect(converted(value)).rejects.toThrow(/the tensor x has values that are no numbers/);
        expect(await converted(1)).toHaveLength(1);
      }
    });
  }

  it('refuses to make infinity of what f16 does not hold', async () => {
    const pieces = async function* () {
      yield new Uint8Array(Float32Array.of(...new Array<number>(31).fill(1), 70_000).buffer);
    };
    await expect(
      Array.fromAsync(convertRows(loadGgml(), pieces(), { from: GgmlType.F32, to: GgmlType.F16, columns: 32, name: 'the tensor x' }, 1)),
    ).rejects.toThrow(/the tensor x has values beyond what f16 holds/);
  });
});
