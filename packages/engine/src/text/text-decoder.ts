/** Turns the bytes of successive tokens into text. A token may end inside a character, whose bytes are then held back. */
export interface TokenTextDecoder {
  /** The characters that are complete. Bytes that are no UTF-8 become U+FFFD, as the WHATWG Encoding Standard says. */
  push(bytes: Uint8Array): string;
  /** What is left of an incomplete character, as U+FFFD. */
  flush(): string;
}

export function createTokenTextDecoder(): TokenTextDecoder {
  // A byte order mark is text like any other when a model writes it.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const stream = { stream: true } as const;
  return {
    push: (bytes) => decoder.decode(bytes, stream),
    flush: () => decoder.decode(),
  };
}
