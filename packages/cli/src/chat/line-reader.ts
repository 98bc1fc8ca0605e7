import { createInterface } from 'node:readline';

export interface LineReader {
  /** What the user wrote; lines pasted together are one text. `undefined` when the user leaves with Ctrl-C or Ctrl-D. */
  read(prompt: string): Promise<string | undefined>;
}

const historySize = 500;

/**
 * Reads from the terminal with line editing and history. The terminal is in raw mode only while a line is being read,
 * so that Ctrl-C is a signal at all other times.
 */
export function createLineReader(): LineReader {
  let history: string[] = [];
  return {
    read(prompt) {
      const editor = createInterface({
        input: process.stdin,
        output: process.stdout,
        prompt,
        history,
        historySize,
        removeHistoryDuplicates: true,
      });
      const { promise, resolve } = Promise.withResolvers<string | undefined>();
      const lines: string[] = [];
      editor.on('history', (entries) => (history = [...entries]));
      editor.on('line', (line) => {
        // What was pasted arrives as lines of one read.
        if (lines.push(line) === 1) setImmediate(() => editor.close());
      });
      editor.on('close', () => resolve(lines.length > 0 ? lines.join('\n') : undefined));
      editor.on('SIGINT', () => {
        process.stdout.write('\n');
        editor.close();
      });
      editor.prompt();
      return promise;
    },
  };
}
