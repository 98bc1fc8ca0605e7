import { saidLimit } from '../answer-limit.ts';
import { BrokenLineError, type CompletionPath, type TraceFormat, type TracePrompt } from '../trace/trace-format.ts';
import { isRecord, isTokenCount, parseRecord, timeField, tokensField, tryParseRecord, type JsonRecord } from './fields.ts';
import type { RecordedAnswer } from './recorded.ts';

/** What `autoglm record` writes: see recorded.ts. */
export const autoglmFormat: TraceFormat = {
  name: 'autoglm',
  recognises: (line) => tryParseRecord(line)?.['autoglm_trace'] !== undefined,
  createReader: () => ({
    read(line) {
      const record = parseRecord(line);
      if (record['autoglm_trace'] !== 1) throw new BrokenLineError('autoglm_trace is not 1');
      const answer = readAnswer(record['answer']);
      const outputTokens = record['output_tokens'] === undefined ? readAskedLimit(record['asked']) : tokensField(record, 'output_tokens');
      return {
        atMs: timeField(record, 'at_ms'),
        prompt: readPrompt(record),
        path: readPath(record['path']),
        ...(outputTokens !== undefined && { outputTokens }),
        ...(answer && { answer }),
      };
    },
  }),
};

function readPath(value: unknown): CompletionPath {
  if (value !== '/v1/chat/completions' && value !== '/v1/completions') throw new BrokenLineError('path is not one that can be replayed');
  return value;
}

function readPrompt({ body, prompt }: JsonRecord): TracePrompt {
  if (isRecord(body)) return { kind: 'body', body };
  if (!isRecord(prompt)) throw new BrokenLineError('neither a body nor a prompt');
  const { tokens, characters, block_characters: blockCharacters, block_hashes: blocks } = prompt;
  if (!isTokenCount(characters) || !isTokenCount(blockCharacters) || blockCharacters === 0)
    throw new BrokenLineError("the prompt's characters or block_characters are not whole numbers");
  if (tokens !== undefined && !isTokenCount(tokens)) throw new BrokenLineError("the prompt's tokens are not a whole number");
  if (!Array.isArray(blocks) || !blocks.every((hash) => typeof hash === 'string'))
    throw new BrokenLineError("the prompt's block_hashes are not an array of strings");
  return { kind: 'character-blocks', characters, blockCharacters, blocks, ...(tokens !== undefined && { tokens }) };
}

/** Of an answer whose length nobody knows, because it was refused or broke off: what the client would have taken. */
function readAskedLimit(asked: unknown): number | undefined {
  const limit = isRecord(asked) ? saidLimit(asked) : undefined;
  return isTokenCount(limit) && limit > 0 ? limit : undefined;
}

function readAnswer(value: unknown): RecordedAnswer | undefined {
  if (value === undefined) return undefined;
  if (!isRecord(value)) throw new BrokenLineError('answer is not an object');
  const known = ['equals', 'contains', 'sha256'].filter((key) => value[key] !== undefined);
  if (known.length === 0 || known.some((key) => typeof value[key] !== 'string'))
    throw new BrokenLineError('answer has no equals, contains or sha256 that is a string');
  return value as RecordedAnswer;
}
