import type { EmitEvent, StreamPart } from '@open-autoglm/protocol';

/** Watches parts as they arrive, and states once that the first text has come. */
export class FirstText {
  readonly #emit: EmitEvent;
  #hasCome = false;

  constructor(emit: EmitEvent) {
    this.#emit = emit;
  }

  see(part: StreamPart): void {
    // Text is empty while a character is incomplete or a stop string may be under way.
    if (this.#hasCome || (part.type !== 'wire-delta' && (!('text' in part) || part.text === ''))) return;
    this.#hasCome = true;
    this.#emit({ type: 'first-token' });
  }
}
