/**
 * What an answer must be, from its first byte to its last, so that it can be read by a program. Plain data: it crosses to the
 * engine's process, which lets only such tokens follow.
 */
export type OutputGrammar =
  /** A JSON value that satisfies a JSON Schema. `param`: the request's field that the schema came in, for errors. */
  | { readonly kind: 'json'; readonly schema: unknown; readonly param: string }
  /** This text, which is not empty. */
  | { readonly kind: 'literal'; readonly text: string }
  /** Any text in which `without`, which is not empty, does not occur. */
  | { readonly kind: 'text'; readonly without: string }
  | { readonly kind: 'sequence'; readonly items: readonly OutputGrammar[] }
  | { readonly kind: 'choice'; readonly options: readonly OutputGrammar[] }
  /** `max` absent: any number. */
  | {
      readonly kind: 'repeat';
      readonly item: OutputGrammar;
      readonly separator: OutputGrammar;
      readonly min: number;
      readonly max?: number | undefined;
    };
