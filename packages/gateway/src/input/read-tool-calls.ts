import { randomUUID } from 'node:crypto';
import type { StreamPart, ToolCall } from '@open-autoglm/protocol';
import { ToolCallReader, type ToolCallEvent } from './tool-call-reader.ts';

interface Choice {
  readonly reader: ToolCallReader;
  readonly calls: { id: string; name: string; arguments: string }[];
}

/**
 * Turns calls in the text of an answer into OpenAI's `tool_calls`: of a stream in pieces as they come, of a whole answer all at its
 * end. A choice that ends in a call ends for the reason `tool_calls`.
 */
export async function* readToolCalls(
  parts: AsyncIterable<StreamPart>,
  isStream: boolean,
  newId: () => string = newCallId,
): AsyncGenerator<StreamPart> {
  const choices = new Map<number, Choice>();
  /** Choices of another server: it reads calls itself, and what it leaves in the text is text. */
  const readElsewhere = new Set<number>();
  for await (const part of parts) {
    if (part.type === 'text-start') readElsewhere.add(part.index);
    if ((part.type !== 'text-delta' && part.type !== 'text-end') || readElsewhere.has(part.index)) {
      yield part;
      continue;
    }
    const { index } = part;
    const choice = choices.get(index) ?? { reader: new ToolCallReader(), calls: [] };
    choices.set(index, choice);
    const events = part.type === 'text-delta' ? choice.reader.push(part.text) : choice.reader.end();
    const text = events.map((event) => (event.type === 'content' ? event.text : '')).join('');
    if (part.type === 'text-delta') yield { ...part, text };
    else if (text !== '') yield { type: 'text-delta', index, text, tokenCount: 0 };
    const pieces = events.flatMap((event) => take(choice, event, newId));
    if (isStream) for (const piece of pieces) yield toolCallsPart(index, [piece]);
    if (part.type !== 'text-end') continue;
    if (!isStream && choice.calls.length > 0) yield toolCallsPart(index, choice.calls.map(toWhole));
    yield part.finishReason === 'stop' && choice.reader.endsInCall ? { ...part, finishReason: 'tool_calls' } : part;
  }
}

/** Keeps what an event says, and says it as a delta. */
function take({ calls }: Choice, event: ToolCallEvent, newId: () => string): object[] {
  if (event.type === 'content') return [];
  if (event.type === 'call') {
    const id = newId();
    calls.push({ id, name: event.name, arguments: '' });
    return [{ index: calls.length - 1, id, type: 'function', function: { name: event.name, arguments: '' } }];
  }
  const last = calls.at(-1);
  if (last) last.arguments += event.text;
  return [{ index: calls.length - 1, function: { arguments: event.text } }];
}

function toWhole(call: Choice['calls'][number]): ToolCall {
  return { id: call.id, type: 'function', function: { name: call.name, arguments: call.arguments } };
}

function toolCallsPart(index: number, calls: readonly object[]): StreamPart {
  return { type: 'wire-delta', index, delta: { tool_calls: calls }, choice: {}, answer: {} };
}

function newCallId(): string {
  return `call_${randomUUID().replaceAll('-', '')}`;
}
