import { argumentsOpening, callClosing, callOpening, nameOpening } from './tool-format.ts';

/** What a piece of an answer's text says. */
export type ToolCallEvent =
  | { readonly type: 'content'; readonly text: string }
  | { readonly type: 'call'; readonly name: string }
  | { readonly type: 'arguments'; readonly text: string };

/**
 * Tells an answer's calls of functions from its text as it comes, in pieces of any size. What may still become a call, or is white space
 * before one, is held back. The grammar of `tool-format.ts` is relied upon: after the opening tag comes a call and nothing else.
 */
export class ToolCallReader {
  #phase: 'content' | 'name' | 'arguments' | 'closing' = 'content';
  #held = '';
  #depth = 0;
  #quoted: 'no' | 'yes' | 'escape' = 'no';
  #calls = 0;

  /** Whether calls were begun, and the last is complete. */
  get endsInCall(): boolean {
    return this.#calls > 0 && this.#phase === 'content';
  }

  push(text: string): readonly ToolCallEvent[] {
    this.#held += text;
    const events: ToolCallEvent[] = [];
    for (let event = this.#next(); event; event = this.#next()) if (event !== 'nothing') events.push(event);
    return events;
  }

  /** The answer has ended: what was held back of its text. White space after a call is none. */
  end(): readonly ToolCallEvent[] {
    const text = this.#phase === 'content' && (this.#calls === 0 || this.#held.trim() !== '') ? this.#held : '';
    this.#held = '';
    return text === '' ? [] : [{ type: 'content', text }];
  }

  /** `nothing`: there is more to be read. Undefined: more text is wanted. */
  #next(): ToolCallEvent | 'nothing' | undefined {
    switch (this.#phase) {
      case 'content':
        return this.#readContent();
      case 'name':
        return this.#readName();
      case 'arguments':
        return this.#readArguments();
      case 'closing':
        return this.#readClosing();
    }
  }

  #readContent(): ToolCallEvent | 'nothing' | undefined {
    const at = this.#held.indexOf(callOpening);
    const end = at === -1 ? this.#held.length - openEnd(this.#held) : at;
    const text = this.#held.slice(0, end).trimEnd();
    if (text !== '') {
      this.#held = this.#held.slice(text.length);
      return { type: 'content', text };
    }
    if (at === -1) return undefined;
    this.#held = this.#held.slice(at + callOpening.length);
    this.#phase = 'name';
    return 'nothing';
  }

  #readName(): ToolCallEvent | undefined {
    const end = this.#held.indexOf(argumentsOpening);
    if (end === -1) return undefined;
    const name = this.#held.slice(nameOpening.length, end);
    this.#held = this.#held.slice(end + argumentsOpening.length);
    this.#phase = 'arguments';
    this.#calls += 1;
    return { type: 'call', name };
  }

  #readArguments(): ToolCallEvent | 'nothing' | undefined {
    if (this.#held === '') return undefined;
    let end = 0;
    while (end < this.#held.length && !this.#isAfterArguments(this.#held[end] as string)) {
      this.#see(this.#held[end] as string);
      end += 1;
    }
    if (end < this.#held.length) this.#phase = 'closing';
    const text = this.#held.slice(0, end);
    this.#held = this.#held.slice(end);
    return text === '' ? 'nothing' : { type: 'arguments', text };
  }

  /** Arguments may be any value of JSON where their schema says so: what ends them is the brace that they did not open. */
  #isAfterArguments(character: string): boolean {
    return character === '}' && this.#depth === 0 && this.#quoted === 'no';
  }

  /** Counts braces outside of strings. */
  #see(character: string): void {
    if (this.#quoted === 'escape') this.#quoted = 'yes';
    else if (this.#quoted === 'yes') this.#quoted = character === '\\' ? 'escape' : character === '"' ? 'no' : 'yes';
    else if (character === '"') this.#quoted = 'yes';
    else if (character === '{') this.#depth += 1;
    else if (character === '}') this.#depth -= 1;
  }

  #readClosing(): 'nothing' | undefined {
    if (this.#held.length < callClosing.length) return undefined;
    this.#held = this.#held.slice(callClosing.length);
    this.#phase = 'content';
    return 'nothing';
  }
}

/** How many characters at the end of a text may be the beginning of a call. */
function openEnd(text: string): number {
  for (let length = Math.min(callOpening.length - 1, text.length); length > 0; length -= 1)
    if (text.endsWith(callOpening.slice(0, length))) return length;
  return 0;
}
