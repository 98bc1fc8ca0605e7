import type { FinishReason, StreamPart, TokenLogprob } from '@open-autoglm/protocol';
import type { Exchange } from '../common/exchange.ts';
import { AttentionMaps } from './attention-maps.ts';
import { FirstText } from './first-text.ts';
import { chatLogprobs, completionLogprobs } from './logprobs.ts';
import { Usage } from './usage.ts';

interface Choice {
  text: string;
  reasoning: string;
  reasoningField: string;
  /** Fields that only another server has words for. */
  message: Record<string, unknown>;
  other: Record<string, unknown>;
  finishReason: FinishReason | null;
  logprobs: TokenLogprob[];
}

/** Waits for the whole answer and returns it as OpenAI's JSON. */
export async function collectAnswer({ request, format, timings, created }: Omit<Exchange, 'response'>, parts: AsyncIterable<StreamPart>): Promise<object> {
  const choices: Choice[] = [];
  const answer: Record<string, unknown> = {};
  const attention = new AttentionMaps();
  const usage = new Usage(request.choiceCount);
  const firstText = new FirstText(request.emit);
  for await (const part of parts) {
    usage.add(part);
    attention.add(part);
    firstText.see(part);
    if (part.type === 'usage') continue;
    const choice = (choices[part.index] ??= { text: '', reasoning: '', reasoningField: 'reasoning_content', message: {}, other: {}, finishReason: null, logprobs: [] });
    if (part.type === 'text-delta') {
      choice.text += part.text;
      if (part.logprobs) choice.logprobs.push(...part.logprobs);
    } else if (part.type === 'reasoning-delta') {
      choice.reasoning += part.text;
      choice.reasoningField = part.field ?? choice.reasoningField;
    } else if (part.type === 'wire-delta') {
      Object.assign(choice.message, part.delta);
      Object.assign(choice.other, part.choice);
      Object.assign(answer, part.answer);
    } else if (part.type === 'text-end') {
      choice.finishReason = part.finishReason;
      Object.assign(choice.other, part.wire);
    }
  }
  const hasLogprobs = request.topLogprobs !== undefined;
  const isChat = format.api === 'chat';
  return {
    id: request.id,
    object: isChat ? 'chat.completion' : 'text_completion',
    created,
    model: request.model,
    choices: choices.map((choice, index) => {
      const logprobs = hasLogprobs ? (isChat ? chatLogprobs(choice.logprobs) : completionLogprobs(choice.logprobs, 0)) : null;
      const finish = { logprobs, finish_reason: choice.finishReason, ...choice.other };
      return isChat ? { index, message: messageOf(choice), ...finish } : { index, text: choice.text, ...finish };
    }),
    usage: usage.toJSON(),
    ...answer,
    autoglm: { timings: timings.fields(), ...timings.notes, ...attention.fields() },
  };
}

function messageOf({ text, reasoning, reasoningField, message }: Choice): object {
  return {
    role: 'assistant',
    // Who calls a tool may have nothing to say.
    content: text === '' && message['tool_calls'] !== undefined ? null : text,
    ...(reasoning !== '' && { [reasoningField]: reasoning }),
    refusal: null,
    ...message,
  };
}
