import type { ChatMessage } from '@open-autoglm/protocol';
import { splitText, textOf, type Piece } from '../text/split.ts';

/** Stands where something was left out, so that neither the model nor a reader takes what is around it for one text. */
export const omission = '[…]';

/** What goes or stays as a whole. */
export interface Unit {
  /** What it is judged and counted by. */
  readonly text: string;
  /** Places of its messages. One, or a call of tools with its answers. */
  readonly messages: readonly number[];
  /** Of a message's text; absent: all of its messages. */
  readonly piece: Piece | undefined;
  /** A user's message and what answered it; -1 for instructions, which belong to none. */
  readonly exchange: number;
  /** Steps from the end of its exchange: 0 is the last. */
  readonly stepsFromEnd: number;
}

export interface Conversation {
  readonly messages: readonly ChatMessage[];
  readonly units: readonly Unit[];
  readonly exchangeCount: number;
}

/** Divides a conversation into what may go by itself: pieces of texts, and calls of tools with their answers. */
export function divide(messages: readonly ChatMessage[]): Conversation {
  const steps = toSteps(messages);
  const exchangeCount = steps.reduce((count, { exchange }) => Math.max(count, exchange + 1), 0);
  const lastSteps = new Map(steps.map(({ exchange }, step) => [exchange, step]));
  const units = steps.flatMap(({ places, exchange }, step): Unit[] => {
    const stepsFromEnd = (lastSteps.get(exchange) ?? step) - step;
    const whole = { messages: places, exchange, stepsFromEnd };
    const [place = 0] = places;
    const message = messages[place] as ChatMessage;
    if (places.length > 1 || !mayBeCut(message))
      return [{ ...whole, text: places.map((at) => allText(messages[at] as ChatMessage)).join('\n'), piece: undefined }];
    return splitText(message.content).map((piece) => ({ ...whole, text: textOf(message.content, piece), piece }));
  });
  return { messages, units, exchangeCount };
}

/**
 * The conversation of the units that are kept. A message of which all is kept is the one that came. An exchange of which nothing is kept
 * is not there; in the others everybody still takes turns as before, for many templates want that.
 */
export function assemble({ messages, units }: Conversation, isKept: (unit: number) => boolean): ChatMessage[] {
  const keptExchanges = new Set(units.flatMap(({ exchange }, index) => (isKept(index) ? [exchange] : [])));
  const unitsOf: number[][] = messages.map(() => []);
  for (const [index, { messages: places }] of units.entries()) for (const place of places) unitsOf[place]?.push(index);
  const result: ChatMessage[] = [];
  for (const [place, message] of messages.entries()) {
    const own = unitsOf[place] ?? [];
    const [first] = own.map((index) => units[index] as Unit);
    if (!first || !keptExchanges.has(first.exchange)) continue;
    const keptCount = own.filter(isKept).length;
    if (keptCount === 0 && isCall(first, messages)) continue;
    // What the assistant did between two messages of the user's has gone.
    if (message.role === 'user' && result.at(-1)?.role === 'user' && messages[place - 1]?.role !== 'user')
      result.push({ role: 'assistant', content: omission });
    if (keptCount === own.length) result.push(message);
    else result.push(withContent(message, keptCount === 0 ? omission : shortened(message.content, units, own, isKept)));
  }
  return result;
}

function isCall({ messages: places }: Unit, messages: readonly ChatMessage[]): boolean {
  const message = messages[places[0] ?? -1];
  return places.length > 1 || message?.role === 'tool' || (message !== undefined && callsTools(message));
}

function shortened(content: string, units: readonly Unit[], own: readonly number[], isKept: (unit: number) => boolean): string {
  let text = '';
  let gap = '';
  for (const index of own) {
    const { piece } = units[index] as Unit;
    const part = piece ? textOf(content, piece) : '';
    if (!isKept(index)) {
      gap += part;
      continue;
    }
    if (gap !== '') text += (gap.trim() === '' ? '' : omission) + (gap.includes('\n') ? '\n' : ' ');
    gap = '';
    text += part;
  }
  return gap.trim() === '' ? text : text + omission;
}

/** A message with another text; fields that only another server knows stay with it. */
export function withContent(message: ChatMessage, content: string): ChatMessage {
  return { ...message, content, ...(message.wire && { wire: { ...message.wire, content } }) };
}

/** Whether the message calls tools, in our words or in the client's. */
export function callsTools({ toolCalls, wire }: ChatMessage): boolean {
  return (
    (toolCalls?.length ?? 0) > 0 ||
    (Array.isArray(wire?.['tool_calls']) && wire['tool_calls'].length > 0) ||
    (typeof wire?.['function_call'] === 'object' && wire['function_call'] !== null)
  );
}

/** Only plain text can be cut: what has parts, such as images, is one whole. */
export function mayBeCut(message: ChatMessage): boolean {
  const { role, content, wire } = message;
  return role !== 'tool' && content !== '' && !callsTools(message) && (wire === undefined || typeof wire['content'] === 'string');
}

/** Everything that a message says, calls included. */
export function allText({ content, toolCalls, wire }: ChatMessage): string {
  const calls = toolCalls ?? wire?.['tool_calls'] ?? wire?.['function_call'];
  return calls === undefined || calls === null ? content : `${content}\n${JSON.stringify(calls)}`;
}

interface Step {
  readonly places: readonly number[];
  readonly exchange: number;
}

/** Messages, and calls with their answers, in order. An exchange begins with a user's message after somebody else's. */
function toSteps(messages: readonly ChatMessage[]): Step[] {
  const steps: { places: number[]; exchange: number }[] = [];
  let exchange = 0;
  let hasAnswer = false;
  let open: { places: number[] } | undefined;
  for (const [place, message] of messages.entries()) {
    const { role } = message;
    if (role === 'tool' && open) {
      open.places.push(place);
      continue;
    }
    if (role === 'user' && hasAnswer) exchange += 1;
    if (role !== 'system') hasAnswer = role !== 'user';
    const step = { places: [place], exchange: role === 'system' ? -1 : exchange };
    steps.push(step);
    open = role === 'tool' || callsTools(message) ? step : undefined;
  }
  return steps;
}
