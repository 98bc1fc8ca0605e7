/** A word of a question in the form in which it is compared. */
export interface Word {
  /** Lower case, without its inflection; one of its synonyms for all of them. A number: its value. */
  readonly base: string;
  /** As it was written. */
  readonly text: string;
  /**
   * `content` says what is asked about, `function` only how; `joint` puts its neighbours side by side (and, or, 和).
   * A `number` has its unit in `unit`, where one follows.
   */
  readonly kind: 'content' | 'function' | 'joint' | 'number' | 'negation';
  /** A name by its look: capitals, digits among letters, a surname, the ending of a place. */
  readonly isName: boolean;
  readonly unit?: string;
}

/** What a question wants to know. `none`: it is no question by its words. */
export type QuestionType =
  | 'what'
  | 'why'
  | 'how'
  | 'when'
  | 'where'
  | 'who'
  | 'whose'
  | 'how-many'
  | 'how-long'
  | 'how-far'
  | 'how-old'
  | 'how-often'
  | 'how-degree'
  | 'yes-no'
  | 'none';

/** Whom a question is about, where it says so by a pronoun. */
export type Person = 'I' | 'you' | 'he' | 'she' | 'they';

/** A question as the rules read it: made once of its text, kept with the entry. */
export interface Reading {
  readonly words: readonly Word[];
  /** In order; of a sentence that asks twice, both. */
  readonly questionTypes: readonly QuestionType[];
  /** Texts in quotation marks and code spans, as written but for spaces. */
  readonly quoted: readonly string[];
  /** Punctuation that means something, in order. */
  readonly marks: readonly string[];
  readonly persons: ReadonlySet<Person>;
  /** Past, where a helping verb or a particle says so. */
  readonly isPast: boolean;
  /** What may, must or would be, as its helping verb says; only where that decides the answer. */
  readonly modality: string | undefined;
}
