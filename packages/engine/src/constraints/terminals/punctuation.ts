import type { Terminal } from '../grammar.ts';

const space = 0x20;
const newline = 0x0a;
/** Spaces or tabs of an indent. */
const indentMax = 16;

/**
 * White space where JSON allows it: nothing, one space, or a new line and an indent. JSON would allow it without end, and a model
 * that has lost its thread would fill its context with it.
 *
 * 0: nothing was read. −1: nothing may follow. 1 … : a new line and one less of an indent.
 */
const afterSpace = -1;

function stepSpace(state: number, byte: number): number | undefined {
  if (state === 0) return byte === space ? afterSpace : byte === newline ? 1 : undefined;
  const isIndent = byte === space || byte === 0x09;
  return state !== afterSpace && isIndent && state <= indentMax ? state + 1 : undefined;
}

const canSpaceGoOn = (state: number) => state !== afterSpace && state <= indentMax;

/** A mark, and white space after it. */
export function opening(mark: string): Terminal<number | 'mark'> {
  const code = mark.charCodeAt(0);
  return {
    kind: 'terminal',
    start: 'mark',
    step: (state, byte) => (state === 'mark' ? (byte === code ? 0 : undefined) : stepSpace(state, byte)),
    isComplete: (state) => state !== 'mark',
    canGoOn: (state) => state === 'mark' || canSpaceGoOn(state),
  };
}

/** White space, and a mark after it. */
export function closing(mark: string): Terminal<number | 'end'> {
  const code = mark.charCodeAt(0);
  return {
    kind: 'terminal',
    start: 0,
    step: (state, byte) => (state === 'end' ? undefined : byte === code ? 'end' : stepSpace(state, byte)),
    isComplete: (state) => state === 'end',
    canGoOn: (state) => state !== 'end',
  };
}
