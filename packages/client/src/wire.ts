/** OpenAI's API as far as this client has names for it; what a server says beyond that is passed on as it came. */

export interface ChatMessage {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  readonly content: string | readonly object[] | null;
  readonly [field: string]: unknown;
}

export interface ChatBody {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly stream?: boolean;
  /** `max_tokens`, `temperature`, `tools`, `autoglm`, … */
  readonly [field: string]: unknown;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number };
}

/** What open-autoglm says of an answer beyond OpenAI's API. */
export interface AutoglmFields {
  readonly timings?: Readonly<Record<string, number>>;
  /** In the last chunk of a stream that was not asked for its `usage`, where the engine told it. */
  readonly usage?: Usage;
  readonly [note: string]: unknown;
}

export interface ChatCompletion {
  readonly id: string;
  readonly model: string;
  readonly choices: readonly { readonly index: number; readonly message: ChatMessage; readonly finish_reason: string | null }[];
  readonly usage?: Usage;
  readonly autoglm?: AutoglmFields;
}

export interface ChatCompletionChunk {
  readonly id: string;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: { readonly role?: string; readonly content?: string | null; readonly [field: string]: unknown };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: Usage | null;
  readonly autoglm?: AutoglmFields;
}

export interface EmbeddingsBody {
  readonly model: string;
  readonly input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  readonly [field: string]: unknown;
}

export interface Embeddings {
  readonly data: readonly { readonly index: number; readonly embedding: readonly number[] | string }[];
  readonly model: string;
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number };
}

export interface Model {
  readonly id: string;
  readonly created: number;
  readonly owned_by: string;
  readonly autoglm?: Readonly<Record<string, unknown>>;
}
