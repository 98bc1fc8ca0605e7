import type { ChatMessage } from '@open-autoglm/protocol';
import type { Question } from '../near-answers.ts';
import { requestKey } from '../request-key.ts';

/** The last turn of a chat, and everything else that its answer depends on. */
export interface AskedQuestion {
  /** As the answer's own key, but without the last turn's text: questions of other scopes are never compared. */
  readonly scope: string;
  readonly text: string;
}

/**
 * What may be answered by a similar question's answer: a chat whose last turn is a text of the user's, no longer than that. Undefined:
 * nothing of the kind.
 */
export function readAsked({ request, identity }: Question, charactersMax: number): AskedQuestion | undefined {
  const { input } = request;
  if (input.kind !== 'chat') return undefined;
  const last = input.messages.at(-1);
  if (last?.role !== 'user' || !isPlain(last)) return undefined;
  const text = last.content.trim();
  if (text.length === 0 || text.length > charactersMax) return undefined;
  const messages: ChatMessage[] = [
    ...input.messages.slice(0, -1),
    { role: 'user', content: '', ...(last.name !== undefined && { name: last.name }) },
  ];
  // The prompts are made of the messages; the rest of them is the same for the same model.
  return { scope: requestKey({ ...request, input: { kind: 'chat', messages }, prompts: undefined }, identity), text };
}

/** Whether the text is all that the client wrote: no image, no cited file. */
function isPlain({ wire }: ChatMessage): boolean {
  if (!wire) return true;
  return (
    typeof wire['content'] === 'string' && Object.keys(wire).every((field) => field === 'role' || field === 'content' || field === 'name')
  );
}
