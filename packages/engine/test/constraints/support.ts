import { Constraint } from '../../src/constraints/constraint.ts';
import type { Node } from '../../src/constraints/grammar.ts';
import { startOf } from '../../src/constraints/matcher.ts';
import { compileSchema } from '../../src/constraints/schema/compile-schema.ts';
import { TokenTable } from '../../src/constraints/token-table.ts';

const pieces = [
  '": ',
  '", "',
  '":',
  '",',
  '"}',
  '{"',
  '[]',
  '{}',
  '\n  ',
  'true',
  'null',
  'false',
  ' the',
  'name',
  '北京',
  '明天',
  '\\"',
  '\\u',
  '12',
  '0.5',
  '-1',
  '}}',
  ']',
  'a"',
  '好"',
  '洗车，',
];
const texts = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...pieces.map((piece) => new TextEncoder().encode(piece)),
  new TextEncoder().encode('北').subarray(0, 2),
];

/** A vocabulary of all bytes, some longer pieces, one of which ends inside a character, a control token and the end. */
export const tokens = {
  size: texts.length + 2,
  bytes: (token: number) => texts[token] ?? new Uint8Array(),
  endsGeneration: (token: number) => token === texts.length + 1,
};
export const controlToken = texts.length;
export const endToken = texts.length + 1;
export const table = new TokenTable(tokens);

export function constraintOf(schema: unknown): Constraint {
  return new Constraint(compileSchema(schema, 'schema'), table);
}

/** Whether a text is one of the grammar's, byte by byte. */
export function accepts(node: Node, text: string): boolean {
  let state = startOf(node);
  for (const byte of new TextEncoder().encode(text)) {
    const next = state.after(byte);
    if (!next) return false;
    state = next;
  }
  return state.canEnd;
}

const closers = new Set(['"', '}', ']', ',', ':', '"}', '}}', '",']);

/**
 * What somebody writes who takes any token that is allowed, and one that closes something where chance says so. `random` is in [0, 1).
 * Undefined when it is not whole after `limit` tokens.
 */
export function writeAtRandom(constraint: Constraint, random: () => number, limit = 400): string | undefined {
  const written: number[] = [];
  const logits = new Float32Array(tokens.size);
  const masked = new Float32Array(tokens.size);
  for (let step = 0; step < limit; step += 1) {
    if (constraint.isDone) return textOf(written);
    constraint.mask(logits, masked);
    const allowed = Array.from(masked.keys()).filter((token) => masked[token] === 0);
    if (allowed.length === 0) throw new Error(`nothing can follow ${JSON.stringify(textOf(written))}`);
    const closing = allowed.filter((token) => token === endToken || closers.has(Buffer.from(tokens.bytes(token)).toString()));
    const from = closing.length > 0 && random() < 0.5 ? closing : allowed;
    const token = from[Math.floor(random() * from.length)] as number;
    if (token === endToken) return textOf(written);
    written.push(...tokens.bytes(token));
    constraint.accept(token);
  }
  return undefined;
}

function textOf(bytes: readonly number[]): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
}
