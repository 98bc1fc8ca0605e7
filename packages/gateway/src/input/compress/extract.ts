import { factsOf, hasFacts } from '../text/facts.ts';
import { isCommon, termsOf } from '../text/terms.ts';

/** A sentence that may go. */
export interface Sentence {
  readonly text: string;
  readonly tokens: number;
  /** Of the question, of code, of a message that may not be touched: it stays whatever it says. */
  readonly isFixed: boolean;
}

/** Okapi BM25's parameters, as everybody has them (Robertson and Zaragoza 2009). */
const [k1, b] = [1.2, 0.75];
/** What a sentence has of its neighbour's relevance: answers often stand in the next one. */
const besideShare = 0.3;
/** Alike: so many of the pairs of words of both are the same. */
const alikeShare = 0.8;
/** Pairs that stand in more sentences than this tell nothing. */
const postingsMax = 64;
/** Shorter ones are too little to be called a repetition. */
const repeatedTermsMin = 3;

/**
 * Sentences that say again what another one has said before: in the same words, or nearly, with the same numbers, dates, names, negations
 * and quotations. The first one stays, so that what begins alike keeps beginning alike.
 */
export function repeatedSentences(sentences: readonly Sentence[]): ReadonlySet<number> {
  const repeated = new Set<number>();
  const byText = new Map<string, number>();
  const byPair = new Map<string, number[]>();
  const pairCounts = new Map<number, number>();
  const facts = new Map<number, string>();
  for (const [index, { text, isFixed }] of sentences.entries()) {
    const terms = termsOf(text);
    if (terms.length < repeatedTermsMin) continue;
    const plain = text.replace(/\s+/gu, ' ').trim();
    const pairs = new Set(terms.slice(1).map((term, at) => `${terms[at]} ${term}`));
    if (!isFixed && (byText.has(plain) || isAlike(index, pairs, { sentences, byPair, pairCounts, facts }))) {
      repeated.add(index);
      continue;
    }
    byText.set(plain, index);
    pairCounts.set(index, pairs.size);
    for (const pair of pairs) {
      const postings = byPair.get(pair) ?? [];
      if (postings.length < postingsMax) postings.push(index);
      byPair.set(pair, postings);
    }
  }
  return repeated;
}

interface Known {
  readonly sentences: readonly Sentence[];
  readonly byPair: ReadonlyMap<string, readonly number[]>;
  readonly pairCounts: ReadonlyMap<number, number>;
  /** Of the sentences that were asked for theirs: lines of one record after another are all alike. */
  readonly facts: Map<number, string>;
}

function isAlike(index: number, pairs: ReadonlySet<string>, { sentences, byPair, pairCounts, facts }: Known): boolean {
  const factsAt = (place: number): string => {
    const known = facts.get(place) ?? factsOf((sentences[place] as Sentence).text).join('\n');
    facts.set(place, known);
    return known;
  };
  const shared = new Map<number, number>();
  for (const pair of pairs) for (const other of byPair.get(pair) ?? []) shared.set(other, (shared.get(other) ?? 0) + 1);
  for (const [other, count] of shared) {
    if (count / (pairs.size + (pairCounts.get(other) ?? 0) - count) >= alikeShare && factsAt(other) === factsAt(index)) return true;
  }
  return false;
}

/**
 * Sentences that can go, until so many tokens are spared: those that have least to do with the question, by BM25. One that holds a number,
 * a date, a name, a negation or a quotation stays, so it may be fewer tokens than wished for.
 */
export function leastRelevant(
  sentences: readonly Sentence[],
  question: string,
  { tokens, gone }: { readonly tokens: number; readonly gone: ReadonlySet<number> },
): ReadonlySet<number> {
  const scores = relevance(
    sentences.map(({ text }) => text),
    question,
  );
  const free = sentences.flatMap((sentence, index) => (sentence.isFixed || gone.has(index) || hasFacts(sentence.text) ? [] : [index]));
  // Of equals the later one goes first: prompts that begin alike then go on beginning alike.
  free.sort((a, c) => (scores[a] ?? 0) - (scores[c] ?? 0) || c - a);
  const result = new Set<number>();
  let spared = 0;
  for (const index of free) {
    if (spared >= tokens) break;
    result.add(index);
    spared += sentences[index]?.tokens ?? 0;
  }
  return result;
}

/** BM25 of each text for the question, with a share of its neighbours'. */
export function relevance(texts: readonly string[], question: string): readonly number[] {
  const wanted = new Set(termsOf(question).filter((term) => !isCommon(term)));
  const found = texts.map((text) => {
    const terms = termsOf(text);
    const counts = new Map<string, number>();
    for (const term of terms) if (wanted.has(term)) counts.set(term, (counts.get(term) ?? 0) + 1);
    return { length: terms.length, counts };
  });
  const averageLength = found.reduce((sum, { length }) => sum + length, 0) / Math.max(1, found.length);
  const textCounts = new Map<string, number>();
  for (const { counts } of found) for (const term of counts.keys()) textCounts.set(term, (textCounts.get(term) ?? 0) + 1);
  const own = found.map(({ length, counts }) => {
    let score = 0;
    for (const [term, count] of counts) {
      const having = textCounts.get(term) ?? 0;
      const rarity = Math.log(1 + (texts.length - having + 0.5) / (having + 0.5));
      score += (rarity * count * (k1 + 1)) / (count + k1 * (1 - b + (b * length) / averageLength));
    }
    return score;
  });
  return own.map((score, index) => Math.max(score, besideShare * Math.max(own[index - 1] ?? 0, own[index + 1] ?? 0)));
}
