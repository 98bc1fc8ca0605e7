import { AutoglmError, type ChatMessage, type FitOptions, type GatewayRequest, type Tool } from '@open-autoglm/protocol';
import { fit, type Fitted } from './fit.ts';
import type { PromptSize } from './prompt-size.ts';

/** What holds where a request says nothing. */
export interface FitDefaults {
  readonly reserveTokens: number;
  readonly recentTurns: number;
}

/** An answer has room for at least this share of the context, unless its request wants less. */
const reserveShareMax = 0.25;
/** Messages that the note names one by one. */
const notedMax = 100;

/**
 * The request with a prompt that fits, and a note to the client of what was left out; the same request where it fits as it is. Rejects with
 * `context_length_exceeded`, and with `unsupported_feature` where the room is not known.
 */
export async function fitRequest(
  request: GatewayRequest,
  asked: FitOptions,
  size: PromptSize,
  defaults: FitDefaults,
): Promise<GatewayRequest> {
  const budget = budgetOf(request, asked, size, defaults);
  const { input, signal } = request;
  const recentTurns = asked.recentTurns ?? defaults.recentTurns;
  const tools = toolsOf(request);
  if (input.kind === 'chat') {
    if (size.isCertainlyWithin(input.messages, tools, budget)) return request;
    let { countedBy } = size;
    const countPrompt = async (messages: readonly ChatMessage[]) => {
      const counted = await size.countChat(messages, tools, signal);
      countedBy = counted.countedBy;
      return counted.tokens;
    };
    const fitted = await fit({
      messages: input.messages,
      budget,
      recentTurns,
      signal,
      param: 'messages',
      countPrompt,
      countTexts: (texts) => size.countTexts(texts, signal),
      countImages: size.countImages,
    });
    if (!fitted) return request;
    note(request, [fitted], budget, countedBy);
    return { ...request, input: { kind: 'chat', messages: fitted.messages } };
  }
  const prompts: (string | readonly number[])[] = [];
  const all: Fitted[] = [];
  for (const prompt of input.prompts) {
    const fitted = typeof prompt === 'string' ? await fitText(prompt, { budget, recentTurns, size, signal }) : undefined;
    prompts.push(fitted ? (fitted.messages[0] as ChatMessage).content : prompt);
    if (fitted) all.push(fitted);
  }
  if (all.length === 0) return request;
  note(request, all, budget, size.countedBy);
  return { ...request, input: { kind: 'completion', prompts } };
}

/** Those of another server as the client wrote them. */
function toolsOf({ toolChoice, tools, body }: GatewayRequest): readonly Tool[] {
  if (toolChoice === 'none') return [];
  const written = body?.fields['tools'];
  return tools ?? (Array.isArray(written) ? (written as readonly Tool[]) : []);
}

/** A text to continue is one message without a template; its end is what is continued. */
async function fitText(
  text: string,
  { budget, recentTurns, size, signal }: { budget: number; recentTurns: number; size: PromptSize; signal: AbortSignal },
): Promise<Fitted | undefined> {
  const countPrompt = async ([message]: readonly ChatMessage[]) =>
    (await size.countTexts([message?.content ?? ''], signal)).reduce((sum, count) => sum + count, 1);
  return fit({
    messages: [{ role: 'user', content: text }],
    budget,
    recentTurns,
    signal,
    param: 'prompt',
    countPrompt,
    countTexts: (texts) => size.countTexts(texts, signal),
    countImages: () => 0,
  });
}

function budgetOf(
  { maxTokens, model, body }: GatewayRequest,
  { promptTokensMax, reserveTokens }: FitOptions,
  { contextLength }: PromptSize,
  defaults: FitDefaults,
): number {
  if (contextLength === undefined && promptTokensMax === undefined) {
    throw new AutoglmError(
      'unsupported_feature',
      `How long a prompt the model ${JSON.stringify(model)} reads is not known: give autoglm.fit.prompt_tokens_max, or have it configured under fit.models.`,
      { param: 'autoglm.fit' },
    );
  }
  const context = contextLength ?? Infinity;
  const reserve = maxTokens ?? reserveTokens ?? Math.min(defaults.reserveTokens, Math.floor(context * reserveShareMax));
  const room = context - reserve;
  if (room < 1) {
    const said = typeof body?.fields['max_completion_tokens'] === 'number' ? 'max_completion_tokens' : 'max_tokens';
    throw new AutoglmError(
      'context_length_exceeded',
      `The model's context of ${context} tokens leaves no room for a prompt beside an answer of ${reserve}.`,
      { param: maxTokens === undefined ? 'autoglm.fit' : said },
    );
  }
  return Math.min(promptTokensMax ?? Infinity, room);
}

function note({ emit }: GatewayRequest, fitted: readonly Fitted[], budget: number, countedBy: string): void {
  const total = (pick: (one: Fitted) => number) => fitted.reduce((sum, one) => sum + pick(one), 0);
  const leftOut = fitted.flatMap((one) => one.leftOut);
  const [tokensBefore, tokens] = [total((one) => one.tokensBefore), total((one) => one.tokens)];
  emit({
    type: 'answer-note',
    name: 'fitted',
    value: {
      prompt_tokens_before: tokensBefore,
      prompt_tokens: tokens,
      prompt_tokens_max: budget,
      counted_by: countedBy,
      messages_left_out: leftOut.filter(({ pieces }) => pieces === 'all').length,
      messages_shortened: leftOut.filter(({ pieces }) => pieces !== 'all').length,
      left_out: leftOut.slice(0, notedMax),
    },
  });
  emit({ type: 'prompt-shortened', by: 'fit', tokensBefore, tokens, reason: `it may have ${budget}` });
}
