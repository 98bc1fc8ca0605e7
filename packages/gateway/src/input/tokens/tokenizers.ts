import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import { estimateTokens } from './estimate.ts';
import type { CountSegments } from './token-counter.ts';

/** How the tokens of another server's model are counted. */
export interface RemoteTokenizer {
  /** Told to clients: `o200k_base`, `tokenizer.json`, `estimate`. */
  readonly name: string;
  readonly count: CountSegments;
}

type CountText = (text: string) => number;

const encodings = {
  cl100k_base: () => import('gpt-tokenizer/encoding/cl100k_base'),
  o200k_base: () => import('gpt-tokenizer/encoding/o200k_base'),
} as const;
type Encoding = keyof typeof encodings;

/** OpenAI's models, by the names that they go by there and with those who resell them. */
const families: readonly (readonly [RegExp, Encoding])[] = [
  [/(?:^|\/)(?:gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|gpt-oss|chatgpt-4o|o[134](?:-|$))/iu, 'o200k_base'],
  [/(?:^|\/)gpt-(?:4|3\.5)(?:-|$)/iu, 'cl100k_base'],
];

/** Work at a stretch, in characters, before everybody else has a turn. */
const stretchCharacters = 8192;
/** Without a space, or of spaces alone. */
const runCharactersMax = 2048;

/**
 * By what the configuration says, else by the model's name. Its file is read with the first count; one that is no tokenizer rejects every
 * count with `engine_failed`.
 */
export function remoteTokenizer(model: string, configured: string | undefined): RemoteTokenizer {
  const name = configured ?? families.find(([pattern]) => pattern.test(model))?.[1] ?? 'estimate';
  if (name === 'estimate') return { name, count: async (segments) => segments.map(({ text }) => estimateTokens(text)) };
  let loading: Promise<CountText> | undefined;
  const load = () => (loading ??= name in encodings ? loadEncoding(name as Encoding) : loadHuggingFace(name));
  return {
    name: name in encodings ? name : path.basename(name),
    async count(segments, signal) {
      const countText = await load();
      const counts: number[] = [];
      let characters = 0;
      for (const { text } of segments) {
        let count = 0;
        for (const piece of piecesOf(text)) {
          count += countText(piece);
          characters += piece.length;
          if (characters < stretchCharacters) continue;
          characters = 0;
          await new Promise((resolve) => setImmediate(resolve));
          signal.throwIfAborted();
        }
        counts.push(count);
      }
      return counts;
    },
  };
}

/**
 * The text, or pieces of it where it has a run that no prose has: merging the bytes of one word takes the square of its length. Counted in
 * pieces, such a text has about a token too many for each.
 */
function piecesOf(text: string): readonly string[] {
  if (text === '') return [];
  const isProse = text.length <= runCharactersMax || !(text.match(/\S+|\s+/gu) ?? []).some(({ length }) => length > runCharactersMax);
  return isProse ? [text] : (text.match(new RegExp(`[^]{1,${runCharactersMax}}`, 'gu')) ?? []);
}

async function loadEncoding(name: Encoding): Promise<CountText> {
  const { countTokens } = await encodings[name]();
  // What a client writes is text, whatever it looks like.
  const options = { allowedSpecial: new Set<string>(), disallowedSpecial: new Set<string>() };
  return (text) => countTokens(text, options);
}

async function loadHuggingFace(file: string): Promise<CountText> {
  const { Tokenizer } = await import('@huggingface/tokenizers');
  try {
    const tokenizer = new Tokenizer(JSON.parse(await readFile(file, 'utf8')) as object, {});
    return (text) => tokenizer.encode(text, { add_special_tokens: false }).ids.length;
  } catch (error) {
    throw new AutoglmError('engine_failed', `The tokenizer ${path.basename(file)} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
