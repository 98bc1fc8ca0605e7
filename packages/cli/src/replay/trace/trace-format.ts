import type { RecordedAnswer } from '../formats/recorded.ts';

/** One request as a trace tells it. */
export interface TraceRequest {
  /** As the trace's clock has it; any origin. */
  readonly atMs: number;
  readonly prompt: TracePrompt;
  /** Length of the answer that was recorded, or where that is not known, the limit it had. The answer that is asked for may be as long. */
  readonly outputTokens?: number;
  readonly path: CompletionPath;
  readonly answer?: RecordedAnswer;
}

export type CompletionPath = '/v1/chat/completions' | '/v1/completions';

export type TracePrompt =
  /** The whole request. */
  | { readonly kind: 'body'; readonly body: Readonly<Record<string, unknown>> }
  /** Only how long. */
  | { readonly kind: 'length'; readonly tokens: number }
  /** How long, and names of the blocks it begins with: equal names, equal text. */
  | { readonly kind: 'blocks'; readonly tokens: number; readonly blockTokens: number; readonly blocks: readonly BlockName[] }
  /** The same, measured in characters; tokens where they were counted. */
  | {
      readonly kind: 'character-blocks';
      readonly tokens?: number;
      readonly characters: number;
      readonly blockCharacters: number;
      readonly blocks: readonly BlockName[];
    };

export type BlockName = string | number;

/** A way to write a trace down. Its reader is fed the lines of one file, in order. */
export interface TraceFormat {
  readonly name: 'azure' | 'mooncake' | 'burstgpt' | 'autoglm';
  /** Whether this line could only be of this format: a header or a record. */
  recognises(line: string): boolean;
  createReader(): TraceReader;
}

export interface TraceReader {
  /** Nothing for a header. Throws `BrokenLineError` for what cannot be a request; the reader goes on with the next line. */
  read(line: string): TraceRequest | undefined;
}

export class BrokenLineError extends Error {
  override readonly name = 'BrokenLineError';
}
