import type { ChatMessage, GatewayRequest, Next, TokenLogprob } from '@open-autoglm/protocol';

/** An answer longer than this is shown by its end, where the result stands. */
const answerShown = 8192;
const tokensMax = 4;
const topLogprobs = 5;
const han = /\p{Script=Han}/u;

const questions = {
  en: 'Is the answer above right? Check it, then reply with one word only: yes or no.',
  zh: '上面的回答正确吗？请检查后只回答一个字：对或错。',
} as const;
const yes = /^\s*(?:yes|true|right|correct|对|是|正确)/iu;
const no = /^\s*(?:no|false|wrong|incorrect|错|否|不)/iu;

/**
 * Asks the model that answered whether its answer is right, in a few tokens (AutoMix's self-verification), and gives the probability of
 * yes; undefined where it said neither, cannot be asked, or has not said it within `limitMs`. Its `emit` is the caller's to choose.
 * Rejects only with the signal's reason.
 */
export async function selfCheck(request: GatewayRequest, answer: string, next: Next, limitMs: number): Promise<number | undefined> {
  const { input, signal } = request;
  if (input.kind !== 'chat') return undefined;
  const question = questions[han.test(input.messages.at(-1)?.content ?? '') ? 'zh' : 'en'];
  const messages: ChatMessage[] = [
    ...input.messages,
    { role: 'assistant', content: answer.slice(-answerShown) },
    { role: 'user', content: question },
  ];
  const {
    body: _body,
    responseFormat: _format,
    tools: _tools,
    toolChoice: _choice,
    parallelToolCalls: _parallel,
    grammar: _grammar,
    attention: _attention,
    ...rest
  } = request;
  let text = '';
  let first: TokenLogprob | undefined;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error('the self-check is late')), limitMs);
  const limited = AbortSignal.any([signal, late.signal]);
  try {
    for await (const part of next({
      ...rest,
      id: `${request.id}-check`,
      signal: limited,
      input: { kind: 'chat', messages },
      stream: true,
      choiceCount: 1,
      sampling: { temperature: 0 },
      maxTokens: tokensMax,
      stop: [],
      topLogprobs,
    })) {
      if (part.type !== 'text-delta') continue;
      text += part.text;
      first ??= part.logprobs?.find(({ token }) => token.trim() !== '');
    }
  } catch {
    signal.throwIfAborted();
    return undefined;
  } finally {
    clearTimeout(timer);
  }
  return probabilityOfYes(first) ?? (yes.test(text) ? 1 : no.test(text) ? 0 : undefined);
}

function probabilityOfYes(first: TokenLogprob | undefined): number | undefined {
  const tokens = first ? [...first.top, ...(first.top.some(({ token }) => token === first.token) ? [] : [first])] : [];
  const of = (pattern: RegExp) =>
    tokens.filter(({ token }) => pattern.test(token)).reduce((sum, { logprob }) => sum + Math.exp(logprob), 0);
  const [isYes, isNo] = [of(yes), of(no)];
  return isYes + isNo > 0 ? isYes / (isYes + isNo) : undefined;
}
