import type { ChatMessage, GatewayRequest } from '@open-autoglm/protocol';
import { mayBeCut, withContent } from '../fit/conversation.ts';
import type { PromptSize } from '../fit/prompt-size.ts';
import { splitText, textOf } from '../text/split.ts';
import { leastRelevant, repeatedSentences, type Sentence } from './extract.ts';
import { compressTemplate } from './template.ts';

/** What is to be done to a prompt, its rate decided. */
export type Compression = { readonly method: 'template' | 'dedupe' } | { readonly method: 'extract'; readonly rate: number };

/** Shorter prompts have nothing to gain. */
const promptTokensMin = 150;
/** Characters that are looked at: longer prompts stay as they are. */
const charactersMax = 1024 * 1024;
/** A last message up to so long is a question, and stays; of a longer one its beginning and its end do. */
const questionTokensMax = 150;
const questionTailPieces = 2;

/**
 * The request with a shorter prompt, or the same one where nothing is spared; both with a note to the client. Rejects as the tokenizer
 * does.
 */
export async function compressRequest(request: GatewayRequest, compression: Compression, size: PromptSize): Promise<GatewayRequest> {
  const { input, signal, emit } = request;
  const countTexts = (texts: readonly string[]) => size.countTexts(texts, signal);
  const conversations: readonly (readonly ChatMessage[])[] =
    input.kind === 'chat'
      ? [input.messages]
      : input.prompts.map((prompt) => (typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : []));
  let [tokensBefore, tokens] = [0, 0];
  const results: (readonly ChatMessage[])[] = [];
  for (const messages of conversations) {
    const before = await countAll(messages, countTexts);
    const compressed = isWorthwhile(messages, before) ? await compress(messages, compression, { total: before, countTexts }) : messages;
    const after = compressed === messages ? before : await countAll(compressed, countTexts);
    results.push(after < before ? compressed : messages);
    tokensBefore += before;
    tokens += Math.min(before, after);
  }
  emit({
    type: 'answer-note',
    name: 'compressed',
    value: { ...compression, text_tokens_before: tokensBefore, text_tokens: tokens, counted_by: size.countedBy },
  });
  if (tokens === tokensBefore) return request;
  emit({
    type: 'prompt-shortened',
    by: compression.method,
    tokensBefore,
    tokens,
    reason: compression.method === 'extract' ? `a rate of ${compression.rate}` : 'asked for',
  });
  if (input.kind === 'chat') return { ...request, input: { kind: 'chat', messages: results[0] ?? input.messages } };
  return {
    ...request,
    input: { kind: 'completion', prompts: input.prompts.map((prompt, index) => results[index]?.[0]?.content ?? prompt) },
  };
}

type CountTexts = (texts: readonly string[]) => Promise<readonly number[]>;

async function countAll(messages: readonly ChatMessage[], countTexts: CountTexts): Promise<number> {
  return (await countTexts(messages.map(({ content }) => content))).reduce((sum, count) => sum + count, 0);
}

function isWorthwhile(messages: readonly ChatMessage[], tokens: number): boolean {
  return tokens >= promptTokensMin && messages.reduce((sum, { content }) => sum + content.length, 0) <= charactersMax;
}

interface Counting {
  readonly total: number;
  readonly countTexts: CountTexts;
}

async function compress(messages: readonly ChatMessage[], compression: Compression, counting: Counting): Promise<readonly ChatMessage[]> {
  if (compression.method === 'template') return withLegend(messages, counting.countTexts);
  return withoutSentences(messages, compression.method === 'extract' ? compression.rate : 0, counting);
}

/** Instructions may stand in a legend as well as other texts: nothing of them is lost. */
async function withLegend(messages: readonly ChatMessage[], countTexts: CountTexts): Promise<readonly ChatMessage[]> {
  const places = messages.flatMap((message, place) => (mayBeCut(message) ? [place] : []));
  const compressed = await compressTemplate(
    places.map((place) => (messages[place] as ChatMessage).content),
    countTexts,
  );
  if (!compressed) return messages;
  const texts = new Map(places.map((place, index) => [place, compressed.texts[index] as string]));
  return messages.map((message, place) => (texts.has(place) ? withContent(message, texts.get(place) as string) : message));
}

interface Place {
  readonly message: number;
  readonly text: string;
  readonly isFixed: boolean;
}

/** Instructions, calls and their answers, and code stay as they are; every message keeps at least its first sentence. */
async function withoutSentences(
  messages: readonly ChatMessage[],
  rate: number,
  { total, countTexts }: Counting,
): Promise<readonly ChatMessage[]> {
  const lastUser = messages.findLastIndex(({ role }) => role === 'user');
  const isShort = ((await countTexts([messages[lastUser]?.content ?? '']))[0] ?? 0) <= questionTokensMax;
  const places = messages.flatMap((message, at): Place[] => {
    if (!mayBeCut(message) || message.role === 'system') return [];
    const pieces = splitText(message.content, 0);
    const isQuestion = (index: number) => at === lastUser && (isShort || index >= pieces.length - questionTailPieces);
    return pieces.map((piece, index) => ({
      message: at,
      text: textOf(message.content, piece),
      isFixed: piece.isCode || index === 0 || isQuestion(index),
    }));
  });
  const counts = await countTexts(places.map(({ text }) => text));
  const sentences = places.map(({ text, isFixed }, index): Sentence => ({ text, isFixed, tokens: counts[index] ?? 0 }));
  const gone = new Set(repeatedSentences(sentences));
  if (rate > 0) {
    const spared = [...gone].reduce((sum, index) => sum + (counts[index] ?? 0), 0);
    const question = places.flatMap(({ message, text, isFixed }) => (message === lastUser && isFixed ? [text] : [])).join('\n');
    for (const index of leastRelevant(sentences, question, { tokens: rate * total - spared, gone })) gone.add(index);
  }
  if (gone.size === 0) return messages;
  const kept = new Map<number, string>();
  for (const [index, { message, text }] of places.entries()) if (!gone.has(index)) kept.set(message, (kept.get(message) ?? '') + text);
  return messages.map((message, at) =>
    kept.has(at) && kept.get(at) !== message.content ? withContent(message, kept.get(at) as string) : message,
  );
}
