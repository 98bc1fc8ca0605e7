/** What happens when a sequence has no room for the next token. */
export type ContextStrategy =
  /** The answer ends, and a prompt that does not fit is refused. */
  { readonly kind: 'full' } | BoundedContext;

/**
 * The oldest tokens behind the first ones go (`window`), or those that the newest tokens attend to least (`attention`), and
 * generation goes on without them: it may then say less, or wrong things, about what went.
 */
export interface BoundedContext {
  readonly kind: 'window' | 'attention';
  /** Tokens from the start that always stay; 64 when not given. Rounded up to whole blocks of 64. */
  readonly sinks?: number | undefined;
  /** Tokens beside them that are kept at most, at least 256; the rest of the context when not given. Rounded down to whole blocks. */
  readonly window?: number | undefined;
}
