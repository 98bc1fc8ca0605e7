import type { WireLogprobs } from './logprobs.ts';

/** What is read of OpenAI's answers, whole and in chunks. Everything may be missing: every server leaves out something else. */
export interface WireAnswer {
  readonly choices?: readonly WireChoice[] | null;
  readonly usage?: WireUsage | null;
  /** vLLM and SGLang write `{"object": "error", "message": …}` in older versions. */
  readonly error?: unknown;
  readonly object?: string;
}

export interface WireChoice {
  readonly index?: number;
  /** Of a chat's chunk. */
  readonly delta?: WireMessage | null;
  /** Of a whole chat answer. */
  readonly message?: WireMessage | null;
  /** Of a text completion. */
  readonly text?: string | null;
  readonly logprobs?: WireLogprobs | null;
  readonly finish_reason?: string | null;
}

export interface WireMessage {
  readonly content?: string | null;
  /** What vLLM, SGLang, llama.cpp and DeepSeek call a model's thoughts, and what Ollama and newer vLLM do. */
  readonly reasoning_content?: string | null;
  readonly reasoning?: string | null;
}

export interface WireUsage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number | null } | null;
}

/** What may be summed up and charged for. Servers have said -1, "12" and 1e999. */
export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Undefined where there is none, or it makes no sense; chunks are counted then. */
export function usageOf({ usage }: WireAnswer): WireUsage | undefined {
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens, prompt_tokens_details: details } = usage ?? {};
  return isCount(promptTokens) && isCount(completionTokens ?? 0) && isCount(details?.cached_tokens ?? 0) ? (usage as WireUsage) : undefined;
}

/** Whether it says what went wrong instead, with whatever status it came. */
export const isErrorAnswer = ({ error, object }: WireAnswer) => Boolean(error) || object === 'error';

/** Fields that parts have words for, or that are the gateway's own to write. */
const answerFields = new Set(['id', 'object', 'created', 'model', 'choices', 'usage', 'error', 'autoglm']);
const choiceFields = new Set(['index', 'delta', 'message', 'text', 'logprobs', 'finish_reason']);
const messageFields = new Set(['role', 'content', 'reasoning_content', 'reasoning']);

/** What else an answer says, a choice of it, its message; undefined for nothing. Null and empty lists say nothing. */
export const otherAnswerFields = (answer: WireAnswer) => others(answer, answerFields);
export const otherChoiceFields = (choice: WireChoice) => others(choice, choiceFields);
export const otherMessageFields = (message: WireMessage | null | undefined) => (message ? others(message, messageFields) : undefined);

function others(fields: object, known: ReadonlySet<string>): Record<string, unknown> | undefined {
  let found: Record<string, unknown> | undefined;
  for (const name in fields) {
    if (known.has(name)) continue;
    const value = (fields as Record<string, unknown>)[name];
    if (value === null || (Array.isArray(value) && value.length === 0)) continue;
    found ??= {};
    found[name] = value;
  }
  return found;
}
