import type { Terminal } from '../grammar.ts';

/**
 * Any text in which `forbidden` does not occur. The state is how many bytes of it the text ends with (Knuth, Morris and Pratt 1977).
 */
export function textWithout(forbidden: string): Terminal<number> {
  const pattern = new TextEncoder().encode(forbidden);
  const fallbacks = failureFunction(pattern);
  return {
    kind: 'terminal',
    start: 0,
    step(state, byte) {
      let length = state;
      while (length > 0 && pattern[length] !== byte) length = fallbacks[length - 1] as number;
      if (pattern[length] === byte) length += 1;
      return length === pattern.length ? undefined : length;
    },
    isComplete: () => true,
    canGoOn: () => true,
  };
}

/** For every beginning of the pattern, the length of its longest proper end with which the pattern begins. */
function failureFunction(pattern: Uint8Array): Int32Array {
  const fallbacks = new Int32Array(pattern.length);
  for (let index = 1, length = 0; index < pattern.length; index += 1) {
    while (length > 0 && pattern[index] !== pattern[length]) length = fallbacks[length - 1] as number;
    if (pattern[index] === pattern[length]) length += 1;
    fallbacks[index] = length;
  }
  return fallbacks;
}
