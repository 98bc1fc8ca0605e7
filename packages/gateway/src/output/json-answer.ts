import type { FinishReason, StreamPart, TokenLogprob } from '@open-autoglm/protocol';
import type { Exchange } from '../common/exchange.ts';
import { FirstText } from './first-text.ts';
import { chatLogprobs, completionLogprobs } from './logprobs.ts';
import { Usage } from './usage.ts';

interface Choice {
  text: string;
  reasoning: string;
  finishReason: FinishReason | null;
  logprobs: TokenLogprob[];
}

/** Waits for the whole answer and returns it as OpenAI's JSON. */
export async function collectAnswer({ request, format, timings, created }: Exchange, parts: AsyncIterable<StreamPart>): Promise<object> {
  const choices: Choice[] = [];
  const usage = new Usage(request.choiceCount);
  const firstText = new FirstText(request.emit);
  for await (const part of parts) {
    usage.add(part);
    firstText.see(part);
    if (part.type === 'usage') continue;
    const choice = (choices[part.index] ??= { text: '', reasoning: '', finishReason: null, logprobs: [] });
    if (part.type === 'text-delta') {
      choice.text += part.text;
      choice.logprobs.push(...(part.logprobs ?? []));
    } else if (part.type === 'reasoning-delta') {
      choice.reasoning += part.text;
    } else if (part.type === 'text-end') {
      choice.finishReason = part.finishReason;
    }
  }
  const hasLogprobs = request.topLogprobs !== undefined;
  const isChat = format.api === 'chat';
  return {
    id: request.id,
    object: isChat ? 'chat.completion' : 'text_completion',
    created,
    model: request.model,
    choices: choices.map(({ text, reasoning, finishReason, logprobs }, index) => ({
      index,
      ...(isChat ? { message: { role: 'assistant', content: text, ...(reasoning !== '' && { reasoning_content: reasoning }), refusal: null } } : { text }),
      logprobs: hasLogprobs ? (isChat ? chatLogprobs(logprobs) : completionLogprobs(logprobs, 0)) : null,
      finish_reason: finishReason,
    })),
    usage,
    autoglm: { timings: timings.fields() },
  };
}
