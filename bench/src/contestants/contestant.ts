/** Prompts of token ids, then so many greedy steps, each of one token for every prompt. */
export interface DecodeTask {
  readonly prompts: readonly (readonly number[])[];
  readonly steps: number;
}

/** A program that is measured. All of them choose the likeliest token of every step themselves, as part of their time. */
export interface Contestant {
  readonly name: string;
  /** Tokens per second of all sequences together; reading the prompts is not part of the time. */
  decode(task: DecodeTask): Promise<number>;
  /** Prompt tokens per second, from nothing to the first token. */
  prefill(prompt: readonly number[]): Promise<number>;
  close(): Promise<void>;
}

export interface ContestantOptions {
  readonly modelPath: string;
  readonly threads: number;
  /** Tokens that one sequence may hold. */
  readonly sequenceLength: number;
  readonly maxSequences: number;
  /** Longest prompt. */
  readonly maxPrompt: number;
}
