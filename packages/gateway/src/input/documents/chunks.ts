import { splitText } from '../text/split.ts';

/** A run of a document's text that is read by itself. */
export interface Chunk {
  /** Which of the documents. */
  readonly document: number;
  /** Characters of its text, [start, end). */
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/**
 * Cuts documents at their own borders: paragraphs, lines and sentences that lie side by side are one chunk up to this size, by whatever
 * `sizeOf` measures. A piece that alone is larger, a long block of code, is one chunk.
 */
export function chunksOf(documents: readonly string[], sizeMax: number, sizeOf: (text: string) => number): Chunk[] {
  return documents.flatMap((text, document) => {
    const chunks: Chunk[] = [];
    let start = 0;
    let size = 0;
    let end = 0;
    const close = () => {
      if (text.slice(start, end).trim() !== '') chunks.push({ document, start, end, text: text.slice(start, end) });
      start = end;
      size = 0;
    };
    for (const piece of splitText(text)) {
      const own = sizeOf(text.slice(piece.start, piece.end));
      if (size > 0 && size + own > sizeMax) close();
      end = piece.end;
      size += own;
    }
    close();
    return chunks;
  });
}
