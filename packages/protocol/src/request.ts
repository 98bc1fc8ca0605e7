import type { CacheWish } from './cache-wish.ts';
import type { ContextStrategy } from './context-strategy.ts';
import type { Prompt, Sampling } from './engine.ts';
import type { EmitEvent } from './events.ts';
import type { CompressionOptions, DocumentOptions, FitOptions } from './input-options.ts';
import type { OutputGrammar } from './output-grammar.ts';
import type { Lane, Standing } from './standing.ts';

export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

/** A function that the model may ask the client to call. */
export interface Tool {
  readonly name: string;
  readonly description?: string;
  /** JSON Schema of its arguments; absent: it takes none. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly strict?: boolean;
}

/** `auto`: the model may call or answer. An object: this function must be called. */
export type ToolChoice = 'none' | 'auto' | 'required' | { readonly name: string };

/** The answer must be a JSON object, or satisfy a JSON Schema. */
export type ResponseFormat = { readonly type: 'json_object' } | { readonly type: 'json_schema'; readonly schema: unknown };

/** A message with its text parts already joined. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  readonly name?: string;
  readonly toolCalls?: readonly ToolCall[];
  readonly toolCallId?: string;
  /** The message as the client wrote it, where it may say more than this: images, say. Whoever changes the message leaves it out. */
  readonly wire?: Readonly<Record<string, unknown>>;
}

/** What the client asked to be answered: a chat, or a text (or token ids) to continue. */
export type RequestInput =
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[] }
  | { readonly kind: 'completion'; readonly prompts: readonly (string | readonly number[])[] };

/** W3C trace context, as the headers that carry it. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/**
 * What the client wrote in OpenAI's format, and what was read of it. A server that speaks the same API is given the client's
 * own words wherever no stage has put something else in the place of what was read: fields and content that have no name here.
 */
export interface ClientBody {
  /** The body's fields, but for `autoglm`. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly read: Pick<GatewayRequest, 'input' | 'choiceCount' | 'sampling' | 'maxTokens' | 'stop' | 'topLogprobs'>;
}

/** A request as it travels down the path, whatever protocol brought it. Stages replace it, never mutate it. */
export interface GatewayRequest {
  /** Of its answer. */
  readonly id: string;
  /** `x-request-id`, which other servers are told, too; absent: its id. */
  readonly requestId?: string;
  /** The model's name as the client wrote it. */
  readonly model: string;
  readonly input: RequestInput;
  /** One prompt per entry of `input`, set by the input stage where a replica of the model takes prompts. */
  readonly prompts: readonly Prompt[] | undefined;
  /**
   * For whom it is, hashed where it derives from a key; empty where nothing tells. What one tenant leaves in a KV cache is not used for
   * another.
   */
  readonly tenant: string;
  /** What rules say of the request: its language, the tier that suits it. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Whether the client reads the answer as it comes. */
  readonly stream: boolean;
  /** Choices for each prompt. */
  readonly choiceCount: number;
  /** What the client asked for; the rest is the engine's to choose. */
  readonly sampling: Partial<Sampling>;
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
  readonly topLogprobs: number | undefined;
  /** Absent: any text. */
  readonly responseFormat?: ResponseFormat | undefined;
  /** At least one where there are any; the two fields below are then there, too. */
  readonly tools?: readonly Tool[] | undefined;
  readonly toolChoice?: ToolChoice | undefined;
  readonly parallelToolCalls?: boolean | undefined;
  /** What an engine of ours must answer, made of the fields above by the input stage; absent: anything. */
  readonly grammar?: OutputGrammar | undefined;
  /** What gives way when the context is full; the engine's own when absent. Engines of ours only. */
  readonly contextStrategy?: ContextStrategy | undefined;
  /** Whether and how a prompt that is too long is made to fit; as the configuration says when absent. */
  readonly fit?: FitOptions | false | undefined;
  /** As the configuration says when absent. */
  readonly compression?: CompressionOptions | undefined;
  readonly documents?: DocumentOptions | undefined;
  /** Whether the answer says what it attended to. Engines of ours only. */
  readonly attention?: boolean | undefined;
  /** `auto` when absent. */
  readonly cache?: CacheWish | undefined;
  /**
   * To be sent along with whatever is asked of other servers on this request's behalf; undefined: there is no trace. Made when it is asked
   * for.
   */
  readonly traceContext?: (() => TraceContext | undefined) | undefined;
  /** Who asks, as far as it is known: for those who keep a client at one replica. */
  readonly client?: { readonly address: string | undefined; readonly session: string | undefined } | undefined;
  /** `realtime` when absent. */
  readonly lane?: Lane | undefined;
  /** When the answer must be complete, on the clock of `performance.now()`; absent: there is no such time. `signal` is aborted then. */
  readonly deadlineAtMs?: number | undefined;
  /** Set by admission for engines with a queue of their own. */
  readonly standing?: Standing | undefined;
  /** Absent where another protocol brought the request. */
  readonly body?: ClientBody | undefined;
  /** Aborted when the client leaves, a deadline passes or the server is forced down. */
  readonly signal: AbortSignal;
  readonly emit: EmitEvent;
}
