import type { StepOutput } from '../core.ts';

/**
 * Joins the text of several steps, so that fast generation does not cost the gateway, the network and the client a message
 * for every token: all of them share the cores with the engine. What a reader waits for, a prompt's end with its first
 * token and an answer's end, is never held back; other text is for at most about `intervalMs`, or one step when that is longer.
 */
export class OutputBuffer {
  readonly #intervalMs: number;
  #held: StepOutput[] = [];
  /** Where in `#held` the last text of a sequence is. */
  readonly #texts = new Map<string, number>();
  #heldSinceMs = 0;

  /** An interval of 0 joins nothing. */
  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** Takes what a step brought; returns what is to be sent now, in order, which may be nothing. */
  add(outputs: readonly StepOutput[], nowMs: number): readonly StepOutput[] {
    if (this.#intervalMs === 0) return outputs;
    if (this.#held.length === 0) this.#heldSinceMs = nowMs;
    let isUrgent = false;
    for (const output of outputs) {
      isUrgent ||= output.part.type !== 'text-delta';
      this.#join(output);
    }
    return isUrgent || nowMs - this.#heldSinceMs >= this.#intervalMs ? this.#take() : [];
  }

  /** Drops what is held of a sequence that nobody reads any more. */
  forget(id: string): void {
    if (!this.#held.some((output) => output.id === id)) return;
    this.#held = this.#held.filter((output) => output.id !== id);
    this.#texts.clear();
    for (const [index, output] of this.#held.entries()) this.#texts.set(output.id, index);
  }

  #join(output: StepOutput): void {
    const { id, part } = output;
    const at = this.#texts.get(id);
    const before = at === undefined ? undefined : this.#held[at]?.part;
    if (at !== undefined && before?.type === 'text-delta' && part.type === 'text-delta') {
      const logprobs = part.logprobs && [...(before.logprobs ?? []), ...part.logprobs];
      this.#held[at] = {
        id,
        part: { ...before, text: before.text + part.text, tokenCount: before.tokenCount + part.tokenCount, ...(logprobs && { logprobs }) },
      };
      return;
    }
    this.#texts.set(id, this.#held.push(output) - 1);
  }

  #take(): readonly StepOutput[] {
    const taken = this.#held;
    this.#held = [];
    this.#texts.clear();
    return taken;
  }
}
