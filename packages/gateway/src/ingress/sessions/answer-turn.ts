import type { StreamPart } from '@open-autoglm/protocol';

/** As another server wrote it: nothing of it was checked. */
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

/** The turn that an answer of one choice makes, gathered from its parts as they pass. */
export class AnswerTurn {
  #text = '';
  /** By their index, which a server may begin to count anywhere. */
  readonly #calls = new Map<number, CollectedCall>();

  add(part: StreamPart): void {
    if (part.type === 'text-delta') this.#text += part.text;
    else if (part.type === 'wire-delta') this.#addCalls(part.delta['tool_calls']);
  }

  /** As a client would send it back; undefined where nothing was said. */
  message(): object | undefined {
    if (this.#text === '' && this.#calls.size === 0) return undefined;
    const calls = [...this.#calls]
      .toSorted(([a], [b]) => a - b)
      .map(([, call]) => ({ id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } }));
    return { role: 'assistant', content: this.#text === '' ? null : this.#text, ...(calls.length > 0 && { tool_calls: calls }) };
  }

  /** Calls of a stream come in pieces, each with its call's index; those of a whole answer come at once and have none. */
  #addCalls(deltas: unknown): void {
    if (!Array.isArray(deltas)) return;
    for (const [position, delta] of (deltas as readonly (ToolCallDelta | null)[]).entries()) {
      const { index, id, function: called } = delta ?? {};
      const place = Number.isSafeInteger(index) ? (index as number) : position;
      const call = this.#calls.get(place) ?? { id: '', name: '', arguments: '' };
      this.#calls.set(place, call);
      call.id = textOf(id) || call.id;
      call.name += textOf(called?.name);
      call.arguments += textOf(called?.arguments);
    }
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
