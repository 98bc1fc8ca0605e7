/** Turns the bytes of successive tokens into text. A token may end inside a character, whose bytes are then held back. */
export interface TokenTextDecoder {
  push(bytes: Uint8Array): string;
  /** What is left of an incomplete character, as U+FFFD. */
  flush(): string;
}

export function createTokenTextDecoder(): TokenTextDecoder {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const stream = { stream: true } as const;
  return {
    push: (bytes) => decoder.decode(bytes, stream),
    flush: () => decoder.decode(),
  };
}
