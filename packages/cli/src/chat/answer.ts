import { styleText } from 'node:util';
import { streamChat, type ChatAddress, type ChatSettings, type ChatTurn } from './stream-chat.ts';

/** Streams an answer to standard output, then tells a person how fast it was. Resolves to its text, as far as it came. */
export async function answer(
  server: ChatAddress,
  settings: ChatSettings,
  turns: readonly ChatTurn[],
  signal: AbortSignal,
): Promise<string> {
  const startedAt = performance.now();
  let firstAt: number | undefined;
  let lastAt = startedAt;
  let text = '';
  let tokens: number | undefined;
  try {
    for await (const part of streamChat(server, settings, turns, signal)) {
      tokens = part.completionTokens ?? tokens;
      if (part.text === '') continue;
      lastAt = performance.now();
      firstAt ??= lastAt;
      text += part.text;
      process.stdout.write(process.stdout.isTTY ? withoutControls(part.text) : part.text);
    }
  } finally {
    if (text !== '' && !text.endsWith('\n')) process.stdout.write('\n');
  }
  if (process.stderr.isTTY && firstAt !== undefined) {
    const figures = describeSpeed({ firstMs: firstAt - startedAt, restMs: lastAt - firstAt, tokens });
    process.stderr.write(`${styleText('dim', signal.aborted ? `stopped · ${figures}` : figures, { stream: process.stderr })}\n`);
  }
  return text;
}

/**
 * For a terminal, which would do what a control character says: move the cursor, change its title, fill the clipboard. Emoji are joined by
 * others, which stay.
 */
export function withoutControls(text: string): string {
  return text.replace(/\r(?!\n)|[^\P{Cc}\n\t\r]/gu, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`);
}

interface Speed {
  readonly firstMs: number;
  /** From the first text to the last. */
  readonly restMs: number;
  /** Undefined for an answer that was stopped, and for servers that do not count. */
  readonly tokens: number | undefined;
}

/** The rate is of the tokens after the first, whose time is the TTFT. */
export function describeSpeed({ firstMs, restMs, tokens }: Speed): string {
  const ttft = `TTFT ${Math.round(firstMs)} ms`;
  if (tokens === undefined) return ttft;
  const rate = tokens > 1 && restMs > 0 ? ` · ${((tokens - 1) / (restMs / 1000)).toFixed(1)} tokens/s` : '';
  return `${tokens} tokens${rate} · ${ttft}`;
}
