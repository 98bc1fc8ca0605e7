import type { FinishReason, StreamPart, TokenLogprob } from '@open-autoglm/protocol';
import type { Exchange } from '../common/exchange.ts';
import { chatLogprobs, completionLogprobs } from './logprobs.ts';
import { Usage } from './usage.ts';

interface Choice {
  text: string;
  finishReason: FinishReason | null;
  logprobs: TokenLogprob[];
}

/** Waits for the whole answer and returns it as OpenAI's JSON. */
export async function collectAnswer({ request, format, timings, created }: Exchange, parts: AsyncIterable<StreamPart>): Promise<object> {
  const choices: Choice[] = [];
  const usage = new Usage(request.choiceCount);
  for await (const part of parts) {
    usage.add(part);
    const choice = (choices[part.index] ??= { text: '', finishReason: null, logprobs: [] });
    if (part.type === 'text-delta') {
      choice.text += part.text;
      choice.logprobs.push(...(part.logprobs ?? []));
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
    choices: choices.map(({ text, finishReason, logprobs }, index) => ({
      index,
      ...(isChat ? { message: { role: 'assistant', content: text, refusal: null } } : { text }),
      logprobs: hasLogprobs ? (isChat ? chatLogprobs(logprobs) : completionLogprobs(logprobs, 0)) : null,
      finish_reason: finishReason,
    })),
    usage,
    autoglm: { timings: timings.fields() },
  };
}
