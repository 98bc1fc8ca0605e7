import type { ChatMessage } from './wire.ts';

interface ToolCallDelta {
  readonly index?: number;
  readonly id?: string;
  readonly function?: { readonly name?: string; readonly arguments?: string };
}

/** The message that a whole answer, or the deltas of one, make: the same that a server makes of it which takes the answer into its session. */
export class TurnReader {
  #text = '';
  readonly #calls: { id: string; name: string; arguments: string }[] = [];

  add({ content, tool_calls: calls }: { readonly content?: unknown; readonly tool_calls?: unknown }): void {
    if (typeof content === 'string') this.#text += content;
    if (!Array.isArray(calls)) return;
    for (const [position, delta] of (calls as readonly ToolCallDelta[]).entries()) {
      const call = (this.#calls[delta.index ?? position] ??= { id: '', name: '', arguments: '' });
      if (delta.id) call.id = delta.id;
      call.name += delta.function?.name ?? '';
      call.arguments += delta.function?.arguments ?? '';
    }
  }

  /** Undefined where nothing was said. */
  message(): ChatMessage | undefined {
    if (this.#text === '' && this.#calls.length === 0) return undefined;
    // A server may begin to count anywhere.
    const calls = Object.values(this.#calls).map(({ id, name, arguments: text }) => ({ id, type: 'function', function: { name, arguments: text } }));
    return { role: 'assistant', content: this.#text === '' ? null : this.#text, ...(calls.length > 0 && { tool_calls: calls }) };
  }
}
