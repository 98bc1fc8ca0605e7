/**
 * Lossless: what is said several times is said once, in a legend before the first text, and a short mark stands in its places. The legend
 * is written for the model, and `expandTemplate` gives back what was there, byte for byte.
 */
export interface Compressed {
  /** The texts, with the legend at the beginning of the first. */
  readonly texts: readonly string[];
  /** What the marks stand for. */
  readonly phrases: readonly string[];
}

/** Tokens of each text by itself. */
export type CountTexts = (texts: readonly string[]) => Promise<readonly number[]>;

/**
 * Marks are a number between two of these; only a character that stands nowhere in the texts can be one. The first cost the fewest tokens.
 */
const delimiters = ['~', '^', '|', '@', '#', '$', '%', '§', '¤', '¦', '¶', '‡', '◊', '⟦'];
/** More of them would make the legend longer than a reader can follow. */
const phrasesMax = 32;
const candidatesMax = 256;
/** Characters; shorter ones save nothing. */
const phraseMin = 16;
/** Words in a row that must agree before a repetition is looked into. */
const seedAtoms = 6;
/** Beyond this it would take longer than it saves; the texts stay as they are. */
const atomsMax = 60_000;
/** A word, a run of white space, or another character, with what belongs to it. */
const atom = /(?:[[\p{L}\p{N}]--[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}]]+|\s+|[^])(?:[\p{M}\p{Emoji_Modifier}]|\u200d[^]?)*/gv;

const header = (delimiter: string) => `Below, each mark such as ${delimiter}1${delimiter} stands for the text after it here:`;

/** Undefined where nothing is saved. Rejects as the tokenizer does. */
export async function compressTemplate(texts: readonly string[], countTexts: CountTexts): Promise<Compressed | undefined> {
  const delimiter = delimiters.find((candidate) => !texts.some((text) => text.includes(candidate)));
  if (delimiter === undefined) return undefined;
  const candidates = repeatedPhrases(texts);
  if (candidates.length === 0) return undefined;
  const mark = (index: number) => `${delimiter}${index + 1}${delimiter}`;
  const counts = await countTexts([mark(phrasesMax), `\n${mark(phrasesMax)} = ""`, header(delimiter), ...candidates]);
  const [markTokens = 0, lineTokens = 0, headerTokens = 0, ...phraseTokens] = counts;
  const chosen = choose(
    texts,
    candidates.map((text, index) => ({ text, tokens: phraseTokens[index] ?? 0 })),
    { markTokens, lineTokens },
  );
  if (chosen.saved <= headerTokens || chosen.phrases.length === 0) return undefined;
  const lines = chosen.phrases.map((phrase, index) => `${mark(index)} = ${JSON.stringify(phrase)}`);
  const legend = [header(delimiter), ...lines, '', ''].join('\n');
  const compressed = chosen.texts.map((parts) => parts.map((part) => (typeof part === 'string' ? part : mark(part))).join(''));
  return { phrases: chosen.phrases, texts: compressed.map((text, index) => (index === 0 ? legend + text : text)) };
}

/** What `compressTemplate` was given. Texts without a legend are returned as they are. */
export function expandTemplate(texts: readonly string[]): string[] {
  const [first = ''] = texts;
  const delimiter = delimiters.find((candidate) => first.startsWith(`${header(candidate)}\n`));
  if (delimiter === undefined) return [...texts];
  const lines = first.slice(header(delimiter).length + 1).split('\n');
  const count = lines.indexOf('');
  const phrases = lines.slice(0, count).map((line) => JSON.parse(line.slice(line.indexOf(' = ') + 3)) as string);
  const bodies = [lines.slice(count + 1).join('\n'), ...texts.slice(1)];
  return bodies.map((body) =>
    body
      .split(delimiter)
      .map((part, index) => (index % 2 === 0 ? part : (phrases[Number(part) - 1] ?? '')))
      .join(''),
  );
}

/**
 * Phrases that stand in the texts at least twice, those that fill most of them first. Found as in LZ77: by what begins like something
 * before it.
 */
function repeatedPhrases(texts: readonly string[]): string[] {
  const seen = new Map<string, { readonly text: number; readonly atom: number }>();
  const found = new Map<string, number>();
  const atomsOf: string[][] = [];
  let atomCount = 0;
  for (const [textIndex, text] of texts.entries()) {
    const atoms = text.match(atom) ?? [];
    atomCount += atoms.length;
    if (atomCount > atomsMax) return [];
    atomsOf.push(atoms);
    for (let at = 0; at + seedAtoms <= atoms.length; at += 1) {
      const seed = atoms.slice(at, at + seedAtoms).join('');
      const before = seen.get(seed);
      if (!before) {
        seen.set(seed, { text: textIndex, atom: at });
        continue;
      }
      const length = agreement(
        atomsOf[before.text] as string[],
        before.atom,
        atoms,
        at,
        before.text === textIndex ? at - before.atom : Infinity,
      );
      if (length < seedAtoms) continue;
      const phrase = trimmed(atoms.slice(at, at + length));
      if (phrase.length >= phraseMin) found.set(phrase, (found.get(phrase) ?? 1) + 1);
      at += length - 1;
    }
  }
  return [...found]
    .sort(([a, aCount], [b, bCount]) => b.length * (bCount - 1) - a.length * (aCount - 1))
    .slice(0, candidatesMax)
    .map(([phrase]) => phrase);
}

/** Atoms that agree from two places on, at most `max`: a phrase does not overlap itself. */
function agreement(a: readonly string[], aFrom: number, b: readonly string[], bFrom: number, max: number): number {
  let length = 0;
  while (length < max && bFrom + length < b.length && a[aFrom + length] === b[bFrom + length]) length += 1;
  return length;
}

/** White space at its ends is cheaper outside. */
function trimmed(atoms: readonly string[]): string {
  return atoms.join('').trim();
}

interface Chosen {
  readonly phrases: readonly string[];
  /** Texts in parts: as they are, or the place of a phrase. */
  readonly texts: readonly (readonly (string | number)[])[];
  readonly saved: number;
}

/** Takes phrases one after the other while they save tokens in what is left of the texts. */
function choose(
  texts: readonly string[],
  candidates: readonly { readonly text: string; readonly tokens: number }[],
  { markTokens, lineTokens }: { markTokens: number; lineTokens: number },
): Chosen {
  const phrases: string[] = [];
  let parts: (string | number)[][] = texts.map((text) => [text]);
  let saved = 0;
  for (const { text: phrase, tokens } of candidates) {
    if (phrases.length >= phrasesMax) break;
    const count = parts.reduce(
      (sum, own) => sum + own.reduce<number>((inner, part) => inner + (typeof part === 'string' ? part.split(phrase).length - 1 : 0), 0),
      0,
    );
    // In the legend quotation marks and line breaks are escaped.
    const escapes = JSON.stringify(phrase).length - 2 - phrase.length;
    const gain = count * (tokens - markTokens) - (tokens + lineTokens + escapes);
    if (count < 2 || gain <= 0) continue;
    const index = phrases.push(phrase) - 1;
    saved += gain;
    parts = parts.map((own) => own.flatMap((part) => (typeof part === 'string' ? replaced(part, phrase, index) : [part])));
  }
  return { phrases, texts: parts, saved };
}

function replaced(text: string, phrase: string, index: number): (string | number)[] {
  return text.split(phrase).flatMap((part, place) => (place === 0 ? [part] : [index, part]));
}
