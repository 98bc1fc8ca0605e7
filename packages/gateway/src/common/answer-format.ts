/** How the client wants its answer written. */
export interface AnswerFormat {
  readonly api: 'chat' | 'completion';
  readonly stream: boolean;
  /** A last chunk with the token counts. */
  readonly includeUsage: boolean;
}
