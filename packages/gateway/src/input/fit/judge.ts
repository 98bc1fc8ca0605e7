import { hasFacts } from '../text/facts.ts';
import { isCommon, termsOf } from '../text/terms.ts';
import type { Conversation, Unit } from './conversation.ts';

/** How long a unit stays when there is not room for all. */
export interface Judgement {
  /**
   * `required`: without it the prompt is not what was asked. `cited`: the last turn speaks of it. `recent`: one of the last turns.
   * `repeated`: the same is said again later. Those of one standing go by their score.
   */
  readonly standing: 'required' | 'cited' | 'recent' | 'other' | 'repeated';
  /** 0 … about 1: what a token of it is worth. */
  readonly score: number;
}

export interface JudgeOptions {
  /** Exchanges at the end that are `recent`, and steps of the last one. */
  readonly recentTurns: number;
  /** Whether the last user's message is too long to be required as a whole: then its beginning and its end are. */
  readonly isLastTooLong: boolean;
}

/** Weights of what makes a token worth keeping; they add up to 1. */
const weights = { relevance: 0.35, novelty: 0.3, rarity: 0.15, recency: 0.05, facts: 0.15 };
/**
 * Of the last turn's terms that stand elsewhere, the share that a unit must have to count as cited: this, or nearly as much as the best has
 * where no unit has that; and in how few units one of them must stand.
 */
const [citedShare, citedShareOfBest, citedShareMin] = [0.3, 0.7, 0.12];
const rareShare = 0.05;
/** What a unit beside a cited one has of its relevance: the answer often stands in the next sentence. */
const besideShare = 0.5;
/** At the end of a message that is cut, pieces that are required: a question stands there as a rule. */
const tailPieces = 2;

interface Reading {
  readonly terms: ReadonlySet<number>;
  /** Two neighbouring terms as one number. */
  readonly pairs: readonly number[];
  readonly plain: string;
}

/**
 * Judges every unit of a conversation by what it says, not by its age alone: what the last turn speaks of stays, what is said again
 * later goes first, and so does what is made like many others. Yields between units, so that its caller can give way.
 */
export function* judge(conversation: Conversation, options: JudgeOptions): Generator<void, readonly Judgement[]> {
  const { units } = conversation;
  const required = requiredUnits(conversation, options);
  const vocabulary = new Map<string, number>();
  const readings: Reading[] = [];
  for (const { text } of units) {
    readings.push(read(text, vocabulary));
    yield;
  }
  const repeated = repeatedLater(readings, required);
  // Of what is said several times one is looked at: nothing else says it once the others have gone.
  const once = readings.filter((_, index) => !repeated.has(index));
  const termUnits = countIn(once.map(({ terms }) => terms));
  const pairUnits = countIn(once.map(({ pairs }) => new Set(pairs)));
  const question = questionOf(conversation, required);
  const relevance = relevances(readings, question, { vocabulary, termUnits, required });
  const quoted = quotedUnits(conversation, readings);
  const citedFrom = Math.min(citedShare, Math.max(citedShareMin, citedShareOfBest * relevance.best));
  const judgements: Judgement[] = [];
  for (const [index, unit] of units.entries()) {
    const own = relevance.shares[index] ?? 0;
    const near = Math.max(own, besideShare * Math.max(relevance.shares[index - 1] ?? 0, relevance.shares[index + 1] ?? 0));
    const score =
      weights.relevance * near +
      textScore(readings[index] as Reading, { termUnits, pairUnits, count: units.length }) +
      weights.recency * ((unit.exchange + 1) / conversation.exchangeCount) +
      (unit.piece?.isCode || hasFacts(unit.text) ? weights.facts : 0);
    const isCited = quoted.has(index) || (relevance.isRare[index] === true && own >= citedFrom);
    judgements.push({
      standing: required.has(index)
        ? 'required'
        : repeated.has(index)
          ? 'repeated'
          : isCited
            ? 'cited'
            : isRecent(unit, conversation, options)
              ? 'recent'
              : 'other',
      score,
    });
    yield;
  }
  return judgements;
}

function requiredUnits({ units, messages, exchangeCount }: Conversation, { isLastTooLong }: JudgeOptions): ReadonlySet<number> {
  const last = exchangeCount - 1;
  const lastUser = messages.findLastIndex(({ role }) => role === 'user');
  const required = new Set<number>();
  for (const [index, unit] of units.entries()) {
    if (unit.exchange === -1) required.add(index);
    else if (unit.exchange === last && (unit.messages.includes(lastUser) || unit.stepsFromEnd === 0)) required.add(index);
  }
  if (!isLastTooLong) return required;
  const pieces = units.flatMap(({ messages: [place], piece }, index) => (piece && place === lastUser ? [index] : []));
  const written = pieces.filter((index) => units[index]?.text.trim() !== '');
  const stays = new Set([written[0], ...written.slice(-tailPieces)]);
  for (const index of pieces) if (!stays.has(index)) required.delete(index);
  return required;
}

function isRecent({ exchange, stepsFromEnd }: Unit, { exchangeCount }: Conversation, { recentTurns }: JudgeOptions): boolean {
  if (exchange === exchangeCount - 1) return stepsFromEnd < recentTurns;
  return exchange >= exchangeCount - recentTurns;
}

function read(text: string, vocabulary: Map<string, number>): Reading {
  const ids = termsOf(text).map((term) => {
    const id = vocabulary.get(term) ?? vocabulary.size;
    if (id === vocabulary.size) vocabulary.set(term, id);
    return id;
  });
  const pairs: number[] = [];
  for (let index = 0; index + 1 < ids.length; index += 1) pairs.push((ids[index] as number) * 2 ** 26 + (ids[index + 1] as number));
  return { terms: new Set(ids), pairs, plain: text.replace(/\s+/gu, ' ').trim().toLowerCase() };
}

function countIn(sets: readonly ReadonlySet<number>[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const set of sets) for (const item of set) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

interface Corpus {
  readonly termUnits: ReadonlyMap<number, number>;
  readonly pairUnits: ReadonlyMap<number, number>;
  readonly count: number;
}

/** How much of a text nothing else says, and how rare its words are. */
function textScore({ terms, pairs }: Reading, { termUnits, pairUnits, count }: Corpus): number {
  if (terms.size === 0) return 0;
  const shared = pairs.reduce((sum, pair) => sum + 1 - 1 / (pairUnits.get(pair) ?? 1), 0);
  const novelty = pairs.length === 0 ? 1 - 1 / Math.max(...[...terms].map((term) => termUnits.get(term) ?? 1)) : 1 - shared / pairs.length;
  let rarity = 0;
  for (const term of terms) rarity += Math.log(1 + count / (termUnits.get(term) ?? 1));
  return weights.novelty * novelty + weights.rarity * (rarity / terms.size / Math.log(1 + count));
}

/** What the last turn asks: the required pieces of the last user's message. */
function questionOf({ units, messages }: Conversation, required: ReadonlySet<number>): string {
  const lastUser = messages.findLastIndex(({ role }) => role === 'user');
  return units.flatMap((unit, index) => (required.has(index) && unit.messages.includes(lastUser) ? [unit.text] : [])).join('\n');
}

interface RelevanceParts {
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly termUnits: ReadonlyMap<number, number>;
  readonly required: ReadonlySet<number>;
}

/**
 * Of the question's terms that stand elsewhere, weighed by how rare they are, the share that each unit has; and whether one of these is
 * rare.
 */
function relevances(
  readings: readonly Reading[],
  question: string,
  { vocabulary, termUnits, required }: RelevanceParts,
): { shares: readonly number[]; best: number; isRare: readonly boolean[] } {
  const rareMax = Math.max(3, rareShare * readings.length);
  const weightOf = new Map<number, number>();
  for (const term of new Set(termsOf(question))) {
    const id = vocabulary.get(term);
    // What only the question itself says nobody is cited by.
    if (id === undefined || isCommon(term) || (termUnits.get(id) ?? 0) < 2) continue;
    weightOf.set(id, Math.log(1 + readings.length / (termUnits.get(id) ?? 1)));
  }
  const total = [...weightOf.values()].reduce((sum, weight) => sum + weight, 0);
  // By the units' own terms: question and units may both be long, and their product is no work for one stretch.
  const hits = readings.map(({ terms }) =>
    [...terms].flatMap((id) => (weightOf.has(id) ? [[id, weightOf.get(id) as number] as const] : [])),
  );
  const shares = hits.map((found) => (total === 0 ? 0 : found.reduce((sum, [, weight]) => sum + weight, 0) / total));
  return {
    shares,
    best: shares.reduce((best, share, index) => (required.has(index) ? best : Math.max(best, share)), 0),
    isRare: hits.map((found) => found.some(([id]) => (termUnits.get(id) ?? 0) <= rareMax)),
  };
}

/** Units of which the very words come again later; of all that are alike the last one stays, or the one that must. */
function repeatedLater(readings: readonly Reading[], required: ReadonlySet<number>): ReadonlySet<number> {
  const stays = new Map<string, number>();
  for (const [index, { plain }] of readings.entries()) if (!required.has(stays.get(plain) ?? -1)) stays.set(plain, index);
  return new Set(readings.flatMap(({ plain }, index) => (stays.get(plain) === index || required.has(index) ? [] : [index])));
}

/** At least so many characters are a quotation of something, and not a word in quotation marks. */
const quotationMin = 4;
const quotation = /["“「『«]([^"”」』»\n]{1,300})["”」』»]/gu;
/** "Your second answer", "the first question". */
const ordinals = [/\bfirst\b|第一/iu, /\bsecond\b|第二/iu, /\bthird\b|第三/iu, /\bfourth\b|第四/iu, /\bfifth\b|第五/iu];
const turnWords = /\b(?:answer|reply|question|message|turn)s?\b|回答|答案|问题|消息/iu;

/** Units that a later turn of the user's quotes, and those of a turn that the last one names by its number. */
function quotedUnits({ units, messages }: Conversation, readings: readonly Reading[]): ReadonlySet<number> {
  const cited = new Set<number>();
  const users = messages.flatMap(({ role, content }, place) => (role === 'user' ? [{ place, content }] : []));
  const quotations = users
    .slice(-3)
    .flatMap(({ place, content }) =>
      [...content.matchAll(quotation)].map(([, quoted = '']) => ({ place, quoted: quoted.replace(/\s+/gu, ' ').trim().toLowerCase() })),
    );
  for (const { place, quoted } of quotations.slice(0, 32)) {
    if (quoted.length < quotationMin) continue;
    for (const [index, { plain }] of readings.entries())
      if ((units[index]?.messages[0] ?? place) < place && plain.includes(quoted)) cited.add(index);
  }
  const last = users.at(-1)?.content ?? '';
  if (last.length > 1000 || !turnWords.test(last)) return cited;
  for (const [exchange, ordinal] of ordinals.entries()) {
    if (ordinal.test(last)) for (const [index, unit] of units.entries()) if (unit.exchange === exchange) cited.add(index);
  }
  return cited;
}
