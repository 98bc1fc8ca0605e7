import { createRandom } from '@open-autoglm/statistics';
import type { Calibration } from '../result.ts';
import type { BlockName, TracePrompt } from '../trace/trace-format.ts';
import { words } from './words.ts';

export interface PromptOptions {
  readonly calibration: Calibration;
  readonly seed: number;
  readonly scale: number;
  readonly tokensMax?: number;
  readonly tokensPerCharacter: number;
}

/** A prompt that the trace does not hold, only measures. */
export type MeasuredPrompt = Exclude<TracePrompt, { readonly kind: 'body' }>;

/** Blocks that were made once, by name; a longer trace makes the others again. */
const keptBlocksMax = 2048;
const beginWords = 5;

/**
 * Makes texts as long as the trace says, that begin alike exactly where its prompts did. A block's text follows from the seed, its name
 * and its place; what is beyond the named blocks, from the seed and the request.
 */
export class PromptMaker {
  readonly #options: PromptOptions;
  readonly #kept = new Map<string, string>();

  constructor(options: PromptOptions) {
    this.#options = options;
  }

  /** Tokens that are asked for; what the server counts is near it. */
  tokensOf(prompt: MeasuredPrompt): number {
    const { scale, tokensMax = Infinity } = this.#options;
    return Math.min(Math.max(1, Math.round(this.#recordedTokens(prompt) * scale)), tokensMax);
  }

  /** `overheadTokens`: of the chat template; none for a bare text. */
  make(prompt: MeasuredPrompt, index: number, overheadTokens: number): string {
    const { tokensPerWord } = this.#options.calibration;
    const wordCount = Math.max(1, Math.round((this.tokensOf(prompt) - overheadTokens) / tokensPerWord));
    if (prompt.kind === 'length') return this.#text(`request ${index}`, wordCount);
    const blockWords = this.#blockTokens(prompt) / tokensPerWord;
    const pieces: string[] = [];
    let made = 0;
    for (const [place, name] of prompt.blocks.entries()) {
      // Ends are rounded, not lengths, so that errors do not add up.
      const end = Math.min(wordCount, Math.round((place + 1) * blockWords));
      if (end > made) pieces.push(this.#block(name, place, end - made));
      made = end;
      if (made === wordCount) break;
    }
    if (made < wordCount) pieces.push(this.#text(`request ${index}`, wordCount - made));
    return pieces.join('');
  }

  #recordedTokens(prompt: MeasuredPrompt): number {
    if (prompt.kind !== 'character-blocks') return prompt.tokens;
    return prompt.tokens ?? Math.round(prompt.characters * this.#options.tokensPerCharacter);
  }

  #blockTokens(prompt: Exclude<MeasuredPrompt, { readonly kind: 'length' }>): number {
    if (prompt.kind === 'blocks') return prompt.blockTokens * this.#options.scale;
    const tokensPerCharacter = prompt.characters > 0 ? this.#recordedTokens(prompt) / prompt.characters : this.#options.tokensPerCharacter;
    return prompt.blockCharacters * tokensPerCharacter * this.#options.scale;
  }

  #block(name: BlockName, place: number, wordCount: number): string {
    const key = `block ${place} ${name}`;
    const kept = this.#kept.get(key);
    // A prompt's last block may be cut short: it is the beginning of the whole one.
    const known = kept === undefined ? undefined : cutWords(kept, wordCount);
    if (known !== undefined) return known;
    const text = this.#text(key, wordCount);
    this.#kept.set(key, text);
    if (this.#kept.size > keptBlocksMax) this.#kept.delete(this.#kept.keys().next().value as string);
    return text;
  }

  #text(key: string, wordCount: number): string {
    const named = `${this.#options.seed} ${key}`;
    // 32 bits would give two of 100,000 texts the same words: the first few come from 32 others.
    const begin = createRandom(hashText(`begin ${named}`));
    const rest = createRandom(hashText(named));
    let text = '';
    for (let made = 0; made < wordCount; made += 1) {
      const random = made < beginWords ? begin : rest;
      text += ` ${words[Math.floor(random() * words.length)] as string}`;
    }
    return text;
  }
}

/** The first words; nothing when there are not so many. Every word has a space before it. */
function cutWords(text: string, wordCount: number): string | undefined {
  let end = 0;
  for (let count = 0; count < wordCount; count += 1) {
    if (end >= text.length) return undefined;
    const next = text.indexOf(' ', end + 1);
    end = next === -1 ? text.length : next;
  }
  return text.slice(0, end);
}

/** FNV-1a, 32 bits. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
