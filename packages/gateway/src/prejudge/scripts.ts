/** Scripts by which languages are told apart, as ranges of UTF-16 units. Kana outside Han tells Japanese from Chinese, Hangul Korean. */
const ranges = {
  latin: [
    [0x41, 0x5a],
    [0x61, 0x7a],
    [0xc0, 0x24f],
    [0x1e00, 0x1eff],
    [0xff21, 0xff3a],
    [0xff41, 0xff5a],
  ],
  han: [
    [0x3400, 0x4dbf],
    [0x4e00, 0x9fff],
    [0xf900, 0xfaff],
  ],
  kana: [
    [0x3041, 0x30ff],
    [0x31f0, 0x31ff],
    [0xff66, 0xff9d],
  ],
  hangul: [
    [0x1100, 0x11ff],
    [0x3130, 0x318f],
    [0xac00, 0xd7af],
  ],
  cyrillic: [[0x400, 0x52f]],
  greek: [[0x370, 0x3ff]],
  arabic: [
    [0x600, 0x6ff],
    [0x750, 0x77f],
  ],
  hebrew: [[0x590, 0x5ff]],
  devanagari: [[0x900, 0x97f]],
  thai: [[0xe00, 0xe7f]],
} as const satisfies Record<string, readonly (readonly [number, number])[]>;

export type ScriptName = keyof typeof ranges;
export const scriptNames = Object.keys(ranges) as ScriptName[];

/** 1 + the script's place in `scriptNames`, by UTF-16 unit; 0: a letter of none of them, or no letter. */
const scriptOfUnit = new Uint8Array(0x1_0000);
for (const [index, name] of scriptNames.entries()) for (const [first, last] of ranges[name]) scriptOfUnit.fill(index + 1, first, last + 1);

/** Letters of each script in these texts, by the order of `scriptNames`; at most so many characters are looked at. */
export function countScripts(texts: readonly string[], charactersMax: number): Float64Array {
  const counts = new Float64Array(scriptNames.length + 1);
  let left = charactersMax;
  for (const text of texts) {
    const end = Math.min(text.length, left);
    for (let index = 0; index < end; index += 1) (counts[scriptOfUnit[text.charCodeAt(index)] as number] as number) += 1;
    left -= end;
  }
  return counts.subarray(1);
}

/** Share of a script among the letters that were counted; 0 where there were none. */
export function shareOf(counts: Float64Array, script: ScriptName): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return total === 0 ? 0 : (counts[scriptNames.indexOf(script)] as number) / total;
}
