import { AutoglmError, type ChatMessage, type RemoteTokens, type Tool } from '@open-autoglm/protocol';
import type { Dispatcher } from 'undici';
import { errorOfConnection, errorOfStatus } from './errors.ts';
import { readBoundedAnswer } from './read-bounded.ts';
import { toWireMessage } from './upstream-request.ts';
import { isCount } from './wire.ts';

export interface UpstreamTokensOptions {
  readonly name: string;
  readonly dispatcher: Dispatcher;
  /** Of the API, `/v1`: the routes lie beside it. */
  readonly base: string;
  readonly headers: readonly string[];
  /** Its name there. */
  readonly model: string;
}

/** Texts that are asked about at once, each by itself: none of these servers takes several. */
const concurrency = 8;
const answerBytesMax = 64 * 1024 * 1024;

/** A server that takes no chats is asked again after so long: another version may have taken its place. */
const askAgainMs = 600_000;

/**
 * The tokens that a server makes of texts and of chats, as it says itself: `POST /tokenize` of vLLM, SGLang and llama.cpp. vLLM renders
 * a chat there, llama.cpp at `/apply-template`; SGLang does neither, which is remembered.
 */
export function upstreamTokens({ name, dispatcher, base, headers, model }: UpstreamTokensOptions): RemoteTokens {
  const root = base.replace(/\/v1$/, '');
  /** Undefined: the server has no such route. */
  const ask = async (route: string, body: object, signal: AbortSignal): Promise<Readonly<Record<string, unknown>> | undefined> => {
    try {
      const { statusCode, body: answer } = await dispatcher.request({
        path: `${root}${route}`,
        method: 'POST',
        headers: [...headers],
        body: JSON.stringify(body),
        signal,
      });
      const text = await readBoundedAnswer(name, answer, answerBytesMax);
      if ([404, 405, 501].includes(statusCode)) return undefined;
      if (statusCode !== 200) throw errorOfStatus(name, statusCode, text);
      return JSON.parse(text) as Readonly<Record<string, unknown>>;
    } catch (error) {
      if (isTimeout(signal.reason))
        throw new AutoglmError('upstream_timeout', `The engine ${name} did not say in time how many tokens a text has.`, { cause: error });
      signal.throwIfAborted();
      throw error instanceof SyntaxError ? wrong(name, error) : errorOfConnection(name, error as Error);
    }
  };
  let takesNoChatsUntilMs = 0;
  /** Each server passes over the other's words. */
  const countText = async (text: string, isPrompt: boolean, signal: AbortSignal): Promise<number> => {
    if (text === '') return 0;
    const answer = await ask(
      '/tokenize',
      { model, prompt: text, content: text, add_special_tokens: isPrompt, add_special: isPrompt, parse_special: isPrompt },
      signal,
    );
    const count = countOf(answer);
    if (count === undefined) throw noRoute(name);
    return count;
  };
  return {
    async countTexts(texts, signal) {
      const counts: number[] = Array.from(texts, () => 0);
      const over = new AbortController();
      const own = AbortSignal.any([signal, over.signal]);
      let next = 0;
      const work = async () => {
        for (let index = next++; index < texts.length; index = next++) counts[index] = await countText(texts[index] as string, false, own);
      };
      try {
        await Promise.all(Array.from({ length: Math.min(concurrency, texts.length) }, work));
        return counts;
      } finally {
        // Where one fails, nobody waits for the others.
        over.abort();
      }
    },
    async countChat(messages, tools, signal) {
      if (performance.now() < takesNoChatsUntilMs) return undefined;
      const chat = {
        model,
        messages: messages.map(withoutImages),
        ...(tools.length > 0 && { tools: tools.map(toWireTool) }),
        add_generation_prompt: true,
      };
      const counted = await ask('/tokenize', chat, signal).catch((error: unknown) => {
        if (wantsPrompt(error)) return undefined;
        throw error;
      });
      // llama.cpp finds no text there, and makes no tokens of it.
      const count = counted && 'count' in counted ? countOf(counted) : undefined;
      if (count !== undefined) return count;
      const { prompt } = (await ask('/apply-template', chat, signal)) ?? {};
      if (typeof prompt === 'string') return countText(prompt, true, signal);
      takesNoChatsUntilMs = performance.now() + askAgainMs;
      return undefined;
    },
  };
}

function countOf(answer: Readonly<Record<string, unknown>> | undefined): number | undefined {
  const { count, tokens } = answer ?? {};
  if (isCount(count)) return count;
  return Array.isArray(tokens) ? tokens.length : undefined;
}

/**
 * As SGLang says it, which reads a text and nothing else: pydantic misses the field `prompt` at the top of the body. vLLM, which takes
 * either, names the kind of request before the field; what it refuses of a chat is the chat's.
 */
function wantsPrompt(error: unknown): boolean {
  return (
    error instanceof AutoglmError &&
    (error.status === 400 || error.status === 422) &&
    /["']body["'],\s*["'](?:prompt|text)["']/.test(error.message) &&
    /missing|required/i.test(error.message)
  );
}

/** What an image has in tokens is for its server to know, which need not look at it for that. */
function withoutImages(message: ChatMessage): object {
  const wire = toWireMessage(message) as { readonly content?: unknown };
  if (!Array.isArray(wire.content)) return wire;
  return { ...wire, content: wire.content.filter((part: { type?: unknown } | null) => part?.type === 'text') };
}

/** What nobody here had to read is as the client wrote it. */
function toWireTool(tool: Tool): object {
  return 'type' in tool ? tool : { type: 'function', function: tool };
}

/** As `AbortSignal.timeout` says it. */
function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError';
}

function noRoute(name: string): AutoglmError {
  return new AutoglmError(
    'upstream_error',
    `The engine ${name} does not say how many tokens a prompt has: it has no /tokenize as vLLM, SGLang or llama.cpp. Choose another tokenizer in fit.models.`,
  );
}

function wrong(name: string, cause: Error): AutoglmError {
  return new AutoglmError('upstream_error', `The engine ${name} did not say how many tokens a text has: ${cause.message}.`, { cause });
}
