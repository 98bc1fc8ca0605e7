import type { GatewayRequest } from '@open-autoglm/protocol';
import { hashText } from './hash.ts';

/** Prompts are compared in pieces of so many characters, and no further than this. */
const pieceLength = 128;
const piecesMax = 512;
/** Pieces remembered for each replica: about 4 MiB of text. */
const rememberedMax = 32_768;

/** The pieces of a prompt, each hashed with all that stand before it: equal hashes mean equal prefixes. */
export function piecesOf({ input }: Pick<GatewayRequest, 'input'>): readonly number[] {
  const text =
    input.kind === 'chat'
      ? chatText(input.messages)
      : input.prompts.map((prompt) => (typeof prompt === 'string' ? prompt : prompt.join())).join('\n');
  const pieces: number[] = [];
  let hash: number | undefined;
  for (let from = 0; from + pieceLength <= text.length && pieces.length < piecesMax; from += pieceLength) {
    hash = hashText(text, hash, from, from + pieceLength);
    pieces.push(hash);
  }
  return pieces;
}

function chatText(messages: readonly { readonly role: string; readonly content: string }[]): string {
  return messages.map(({ role, content }) => `${role}\n${content}\n`).join('');
}

/**
 * What a replica has read lately, as far as the gateway knows: it drifts when the replica forgets, which costs a slower first
 * token and nothing else. The prefix used longest ago goes first.
 */
export class PrefixIndex {
  readonly #pieces = new Set<number>();

  /** The share of the pieces that are known from the beginning on. */
  match(pieces: readonly number[]): number {
    if (pieces.length === 0) return 0;
    const unknown = pieces.findIndex((piece) => !this.#pieces.has(piece));
    return unknown === -1 ? 1 : unknown / pieces.length;
  }

  /** From the last to the first, so that the end of a prefix is forgotten before its beginning. */
  remember(pieces: readonly number[]): void {
    for (let index = pieces.length - 1; index >= 0; index -= 1) {
      const piece = pieces[index] as number;
      this.#pieces.delete(piece);
      this.#pieces.add(piece);
    }
    for (const oldest of this.#pieces) {
      if (this.#pieces.size <= rememberedMax) break;
      this.#pieces.delete(oldest);
    }
  }
}
