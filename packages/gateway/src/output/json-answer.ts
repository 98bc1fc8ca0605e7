import type { FinishReason, StreamPart, TokenLogprob } from '@open-autoglm/protocol';
import type { Exchange } from '../common/exchange.ts';
import { AttentionMaps } from './attention-maps.ts';
import { eachPart } from './each-part.ts';
import { FirstText } from './first-text.ts';
import { chatLogprobs, completionLogprobs } from './logprobs.ts';
import { Usage } from './usage.ts';

interface Choice {
  text: string;
  reasoning: string;
  reasoningField: string;
  /** Fields that only another server has words for; most answers have none. */
  message: Record<string, unknown> | undefined;
  other: Record<string, unknown> | undefined;
  finishReason: FinishReason | null;
  logprobs: TokenLogprob[];
}

/** Waits for the whole answer and returns it as OpenAI's JSON. */
export async function collectAnswer(
  { request, format, timings, created }: Omit<Exchange, 'response'>,
  parts: AsyncIterable<StreamPart>,
): Promise<object> {
  const choices: Choice[] = [];
  /** Fields of the answer that only another server has words for. */
  let more: Record<string, unknown> | undefined;
  const attention = new AttentionMaps();
  const usage = new Usage(request.choiceCount);
  const firstText = new FirstText(request.emit);
  await eachPart(parts, (part) => {
    usage.add(part);
    attention.add(part);
    firstText.see(part);
    if (part.type === 'usage') return;
    const choice = (choices[part.index] ??= {
      text: '',
      reasoning: '',
      reasoningField: 'reasoning_content',
      message: undefined,
      other: undefined,
      finishReason: null,
      logprobs: [],
    });
    if (part.type === 'text-delta') {
      choice.text += part.text;
      if (part.logprobs) choice.logprobs.push(...part.logprobs);
    } else if (part.type === 'reasoning-delta') {
      choice.reasoning += part.text;
      choice.reasoningField = part.field ?? choice.reasoningField;
    } else if (part.type === 'wire-delta') {
      choice.message = { ...choice.message, ...part.delta };
      choice.other = { ...choice.other, ...part.choice };
      more = { ...more, ...part.answer };
    } else if (part.type === 'text-end') {
      choice.finishReason = part.finishReason;
      if (part.wire) choice.other = { ...choice.other, ...part.wire };
    }
  });
  const hasLogprobs = request.topLogprobs !== undefined;
  const isChat = format.api === 'chat';
  const whole = {
    id: request.id,
    object: isChat ? 'chat.completion' : 'text_completion',
    created,
    model: request.model,
    choices: choices.map((choice, index) => {
      const logprobs = hasLogprobs ? (isChat ? chatLogprobs(choice.logprobs) : completionLogprobs(choice.logprobs, 0)) : null;
      const wire = isChat
        ? { index, message: messageOf(choice), logprobs, finish_reason: choice.finishReason }
        : { index, text: choice.text, logprobs, finish_reason: choice.finishReason };
      return choice.other ? { ...wire, ...choice.other } : wire;
    }),
    usage: usage.toJSON(),
    autoglm: Object.assign(timings.told(), attention.fields()),
  };
  return more ? { ...whole, ...more } : whole;
}

function messageOf({ text, reasoning, reasoningField, message }: Choice): object {
  // Who calls a tool may have nothing to say.
  const content = text === '' && message?.['tool_calls'] !== undefined ? null : text;
  if (reasoning === '' && !message) return { role: 'assistant', content, refusal: null };
  return { role: 'assistant', content, ...(reasoning !== '' && { [reasoningField]: reasoning }), refusal: null, ...message };
}
