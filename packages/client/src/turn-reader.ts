import type { ChatMessage } from './wire.ts';

/** As the server's engine wrote it: nothing of it was checked. */
interface ToolCallDelta {
  readonly index?: unknown;
  readonly id?: unknown;
  readonly function?: { readonly name?: unknown; readonly arguments?: unknown } | null;
}

interface CollectedCall {
  id: string;
  name: string;
  arguments: string;
}

/**
 * The message that a whole answer, or the deltas of one, make: the same that a server makes of it which takes the answer into its session.
 */
export class TurnReader {
  #text = '';
  /** By their index, which a server may begin to count anywhere. */
  readonly #calls = new Map<number, CollectedCall>();

  add({ content, tool_calls: calls }: { readonly content?: unknown; readonly tool_calls?: unknown }): void {
    if (typeof content === 'string') this.#text += content;
    if (!Array.isArray(calls)) return;
    for (const [position, delta] of (calls as readonly (ToolCallDelta | null)[]).entries()) {
      const { index, id, function: called } = delta ?? {};
      const place = Number.isSafeInteger(index) ? (index as number) : position;
      const call = this.#calls.get(place) ?? { id: '', name: '', arguments: '' };
      this.#calls.set(place, call);
      call.id = textOf(id) || call.id;
      call.name += textOf(called?.name);
      call.arguments += textOf(called?.arguments);
    }
  }

  /** Undefined where nothing was said. */
  message(): ChatMessage | undefined {
    if (this.#text === '' && this.#calls.size === 0) return undefined;
    const calls = [...this.#calls]
      .sort(([a], [b]) => a - b)
      .map(([, { id, name, arguments: text }]) => ({ id, type: 'function', function: { name, arguments: text } }));
    return { role: 'assistant', content: this.#text === '' ? null : this.#text, ...(calls.length > 0 && { tool_calls: calls }) };
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
