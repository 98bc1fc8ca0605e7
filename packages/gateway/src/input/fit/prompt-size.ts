import { AutoglmError, toAutoglmError, type ChatMessage, type ModelInfo, type RemoteTokens, type Tool } from '@open-autoglm/protocol';
import type { RenderChat } from '../chat-template.ts';
import type { RemoteTokenizer } from '../tokens/tokenizers.ts';
import { TokenCounter, type CountSegments } from '../tokens/token-counter.ts';
import { allText, callsTools } from './conversation.ts';

/** How long prompts of a model are, and may be. */
export interface PromptSize {
  /** Prompt and answer together; undefined where nobody knows. */
  readonly contextLength: number | undefined;
  /** Told to clients: what counts texts. */
  readonly countedBy: string;
  /** Whether so much text is certain to have fewer tokens than this, however it is cut: then nothing has to be counted. */
  isCertainlyWithin(messages: readonly ChatMessage[], tools: readonly Tool[], tokens: number): boolean;
  countChat(messages: readonly ChatMessage[], tools: readonly Tool[], signal: AbortSignal): Promise<ChatSize>;
  countTexts(texts: readonly string[], signal: AbortSignal): Promise<readonly number[]>;
  /** Tokens of what a message has beside its text. */
  countImages(message: ChatMessage): number;
}

export interface ChatSize {
  readonly tokens: number;
  /** Told to clients: what has counted it. */
  readonly countedBy: string;
}

/** A token that every prompt begins with, in some models. */
const beginning = 1;
/** No tokenizer makes more tokens than bytes, and no character of a string has more than 3. */
const bytesOfCharacter = 3;
/** Bytes that a chat template puts around the messages, and around each: what is longer is found out when the prompt is counted. */
const [templateBytes, messageBytes] = [512, 64];

/** Of a model that runs here: exact, as its engine will read it. */
export function localPromptSize(model: ModelInfo, count: CountSegments, render: () => RenderChat): PromptSize {
  const counter = new TokenCounter(count);
  return {
    contextLength: model.contextLength,
    countedBy: 'engine',
    isCertainlyWithin,
    countImages: () => 0,
    async countChat(messages, tools, signal) {
      return { tokens: sum(await counter.count(render()(messages, tools), signal)) + beginning, countedBy: 'engine' };
    },
    countTexts: (texts, signal) => counter.count(texts.map(toText), signal),
  };
}

/** What OpenAI documents for its models: around each message, and before the answer. */
const [perMessage, beforeAnswer] = [4, 3];
/** An image has as many tokens as its server makes of it: a large one of OpenAI's. */
const perImage = 1105;
/** For one call of a server's count. */
const askedMsMax = 10_000;
/** Servers that are asked for one count, one after the other. */
const askedMax = 3;

/** Of its texts by what counts them; what its template adds by a rule of thumb. */
async function estimateChat(
  messages: readonly ChatMessage[],
  tools: readonly Tool[],
  count: (texts: readonly string[]) => Promise<readonly number[]>,
): Promise<number> {
  const texts = [...messages.map(allText), ...(tools.length > 0 ? [JSON.stringify(tools)] : [])];
  return sum(await count(texts)) + messages.length * perMessage + beforeAnswer + sum(messages.map(countImages));
}

/** Of a model of another server: its texts by its tokenizer. */
export function remotePromptSize(contextLength: number | undefined, { name, count }: RemoteTokenizer): PromptSize {
  const counter = new TokenCounter(count);
  return {
    contextLength,
    countedBy: name,
    isCertainlyWithin,
    countImages,
    countChat: async (messages, tools, signal) => ({
      tokens: await estimateChat(messages, tools, (texts) => counter.count(texts.map(toText), signal)),
      countedBy: name,
    }),
    countTexts: (texts, signal) => counter.count(texts.map(toText), signal),
  };
}

/**
 * Of a model whose servers say themselves what they count, their chat template with it; where one counts texts only, its template is a
 * rule of thumb, and clients are told. `servers`: whom to ask now; where one fails, the next.
 */
export function askedPromptSize(model: string, servers: () => readonly RemoteTokens[]): PromptSize {
  const ask = async <T>(count: (tokens: RemoteTokens, signal: AbortSignal) => Promise<T>, left: AbortSignal): Promise<T> => {
    let failure: AutoglmError | undefined;
    for (const tokens of servers().slice(0, askedMax)) {
      const limit = AbortSignal.timeout(askedMsMax);
      try {
        return await count(tokens, AbortSignal.any([left, limit]));
      } catch (thrown) {
        left.throwIfAborted();
        failure = toAutoglmError(thrown);
        if (!failure.retryable) break;
      }
    }
    throw failure ?? new AutoglmError('engine_unavailable', `No server of the model ${model} can be asked how many tokens a prompt has.`);
  };
  const counter = new TokenCounter((segments, left) =>
    ask(
      (tokens, signal) =>
        tokens.countTexts(
          segments.map(({ text }) => text),
          signal,
        ),
      left,
    ),
  );
  return {
    contextLength: undefined,
    countedBy: 'server',
    isCertainlyWithin,
    countImages,
    async countChat(messages, tools, signal) {
      const counted = await ask((tokens, limited) => tokens.countChat(messages, tools, limited), signal);
      if (counted !== undefined) return { tokens: counted + sum(messages.map(countImages)), countedBy: 'server' };
      return {
        tokens: await estimateChat(messages, tools, (texts) => counter.count(texts.map(toText), signal)),
        countedBy: 'server, template estimated',
      };
    },
    countTexts: (texts, signal) => counter.count(texts.map(toText), signal),
  };
}

function isCertainlyWithin(messages: readonly ChatMessage[], tools: readonly Tool[], tokens: number): boolean {
  // An image is no text.
  if (messages.some(({ wire }) => Array.isArray(wire?.['content']))) return false;
  if (tools.length > 0 || messages.some(callsTools)) return false;
  const bytes = messages.reduce(
    (sum, { content, name = '' }) => sum + messageBytes + bytesOfCharacter * (content.length + name.length),
    templateBytes,
  );
  return bytes <= tokens;
}

function countImages({ wire }: ChatMessage): number {
  const content = wire?.['content'];
  return Array.isArray(content) ? perImage * content.filter((part: { type?: unknown } | null) => part?.type !== 'text').length : 0;
}

const toText = (text: string) => ({ kind: 'text', text }) as const;

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
