import { hash } from 'node:crypto';
import type { PromptSegment } from '@open-autoglm/protocol';

/** Counts the tokens of segments, each by itself. Nobody waits for it any more once the signal is aborted. */
export type CountSegments = (segments: readonly PromptSegment[], signal: AbortSignal) => Promise<readonly number[]>;

/** Counts that are kept: about 100 bytes each. */
const keptMax = 16_384;
/** Characters that are counted at a time: the engine makes its next step between two calls. */
const callCharactersMax = 32 * 1024;
/** Shorter texts are their own keys. */
const hashedFrom = 48;

/**
 * Remembers counts by the hash of what was counted: a conversation that comes again with one turn more has only that counted. What is not
 * known is counted in few calls. Bounded; what was not asked for the longest is forgotten.
 */
export class TokenCounter {
  readonly #count: CountSegments;
  readonly #known = new Map<string, number>();

  constructor(count: CountSegments) {
    this.#count = count;
  }

  /** Rejects as the tokenizer does. */
  async count(segments: readonly PromptSegment[], signal: AbortSignal): Promise<number[]> {
    const keys = segments.map(keyOf);
    const counts = new Map<string, number>();
    const missing = new Map<string, PromptSegment>();
    for (const [index, key] of keys.entries()) {
      const known = this.#known.get(key);
      if (known === undefined) missing.set(key, segments[index] as PromptSegment);
      else counts.set(key, known);
    }
    for (const group of inCalls([...missing])) {
      signal.throwIfAborted();
      const found = await this.#count(
        group.map(([, segment]) => segment),
        signal,
      );
      for (const [index, [key]] of group.entries()) counts.set(key, found[index] as number);
    }
    for (const [key, count] of counts) this.#remember(key, count);
    return keys.map((key) => counts.get(key) as number);
  }

  #remember(key: string, count: number): void {
    this.#known.delete(key);
    this.#known.set(key, count);
    if (this.#known.size <= keptMax) return;
    for (const oldest of this.#known.keys()) {
      this.#known.delete(oldest);
      break;
    }
  }
}

function keyOf({ kind, text }: PromptSegment): string {
  return text.length < hashedFrom ? `${kind}:${text}` : `${kind}#${hash('sha256', text, 'base64')}`;
}

function* inCalls(missing: readonly (readonly [string, PromptSegment])[]): Generator<(readonly [string, PromptSegment])[]> {
  let group: (readonly [string, PromptSegment])[] = [];
  let characters = 0;
  for (const entry of missing) {
    const { length } = entry[1].text;
    if (group.length > 0 && characters + length > callCharactersMax) {
      yield group;
      group = [];
      characters = 0;
    }
    group.push(entry);
    characters += length;
  }
  if (group.length > 0) yield group;
}
