/** What an engine says of the model it runs. Sizes in bytes, lengths in tokens. */
export interface ModelInfo {
  /** The name under which clients ask for it; `default` for the embedded model. */
  readonly id: string;
  /** Where it came from: a file's base name or a package's name. */
  readonly source: string;
  /** GGUF `general.architecture`: `llama`, `qwen2`, … */
  readonly architecture: string;
  /** The most common type of the weight matrices: `Q8_0`, `F16`, … */
  readonly weightType: string;
  readonly weightBytes: number;
  /** Differs where the weights do: a hash of samples of all tensors. What was computed with other weights is another answer. */
  readonly weightsFingerprint: string;
  readonly parameterCount: number;
  readonly vocabularySize: number;
  /** The most tokens, prompt and answer together, that one sequence may hold. */
  readonly contextLength: number;
  /** Jinja source of the chat template; absent for models that only complete text. */
  readonly chatTemplate: string | undefined;
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  /** Text of every control token. In user text it must be encoded as text, never as the token. */
  readonly controlTokens: readonly string[];
}
