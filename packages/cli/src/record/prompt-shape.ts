import { createHash, createHmac } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { isRecord, type JsonRecord } from '../replay/formats/fields.ts';
import type { RecordedPrompt } from '../replay/formats/recorded.ts';

/** About 16 tokens of English and 50 of Chinese: what engines share of a prompt comes in blocks of this size. */
const blockCharacters = 64;
/** 64 bits: among a million blocks, two alike by chance once in 37 million traces. */
const hashDigits = 16;
/** Hashed at one go, 1 ms, so that a long prompt does not hold up the streams of others. */
const blocksAtOnce = 256;

/** The shape of a request's prompt; nothing where there is none. `key` is the recording's secret. */
export async function shapePrompt(body: JsonRecord, key: Buffer): Promise<RecordedPrompt | undefined> {
  const text = promptText(body);
  if (text === undefined) return undefined;
  const hashes: string[] = [];
  let previous = '';
  for (let end = blockCharacters; end <= text.length; end += blockCharacters) {
    // Each over the one before: equal hashes mean that everything up to here is equal. UTF-16, for a block may end within a character.
    previous = createHmac('sha256', key)
      .update(previous)
      .update(text.slice(end - blockCharacters, end), 'utf16le')
      .digest('hex')
      .slice(0, hashDigits);
    hashes.push(previous);
    if (hashes.length % blocksAtOnce === 0) await setImmediate();
  }
  return { characters: text.length, block_characters: blockCharacters, block_hashes: hashes };
}

/** All that a model reads, in its order: tools, which templates put first, then roles and contents. */
export function promptText(body: JsonRecord): string | undefined {
  const { messages, prompt, tools } = body;
  if (Array.isArray(messages)) return (Array.isArray(tools) ? JSON.stringify(tools) : '') + messages.map(messageText).join('');
  if (typeof prompt === 'string') return prompt;
  return Array.isArray(prompt) ? prompt.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))).join('\n') : undefined;
}

function messageText(message: unknown): string {
  if (!isRecord(message)) return '';
  const { role, content, tool_calls: calls } = message;
  const parts = Array.isArray(content) ? content.map(partText).join('') : typeof content === 'string' ? content : '';
  return `${typeof role === 'string' ? role : ''}${parts}${Array.isArray(calls) ? JSON.stringify(calls) : ''}`;
}

/** An image is as long as a hash of it: its megabytes are no characters of the prompt. */
function partText(part: unknown): string {
  if (!isRecord(part)) return '';
  return typeof part['text'] === 'string' ? part['text'] : createHash('sha256').update(JSON.stringify(part)).digest('hex');
}
