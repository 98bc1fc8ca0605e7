import type { StreamPart } from '@open-autoglm/protocol';

interface ToolCallDelta {
  readonly index?: number;
  readonly id?: string;
  readonly type?: string;
  readonly function?: { readonly name?: string; readonly arguments?: string };
}

interface CollectedCall {
  id: string;
  name: string;
  arguments: string;
}

/** The turn that an answer of one choice makes, gathered from its parts as they pass. */
export class AnswerTurn {
  #text = '';
  readonly #calls: CollectedCall[] = [];

  add(part: StreamPart): void {
    if (part.type === 'text-delta') this.#text += part.text;
    else if (part.type === 'wire-delta') this.#addCalls(part.delta['tool_calls']);
  }

  /** As a client would send it back; undefined where nothing was said. */
  message(): object | undefined {
    if (this.#text === '' && this.#calls.length === 0) return undefined;
    // A server may begin to count anywhere.
    const calls = Object.values(this.#calls).map((call) => ({ id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } }));
    return { role: 'assistant', content: this.#text === '' ? null : this.#text, ...(calls.length > 0 && { tool_calls: calls }) };
  }

  /** Calls of a stream come in pieces, each with its call's index; those of a whole answer come at once and have none. */
  #addCalls(deltas: unknown): void {
    if (!Array.isArray(deltas)) return;
    for (const [position, delta] of (deltas as readonly ToolCallDelta[]).entries()) {
      const call = (this.#calls[delta.index ?? position] ??= { id: '', name: '', arguments: '' });
      if (delta.id) call.id = delta.id;
      call.name += delta.function?.name ?? '';
      call.arguments += delta.function?.arguments ?? '';
    }
  }
}
