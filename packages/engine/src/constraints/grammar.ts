/**
 * A grammar over bytes, as a tree of nodes. Terminals read bytes; the others say in which order terminals follow each other.
 * `matcher.ts` runs it.
 */
export type Node = Terminal | Sequence | Choice | Repeat | Members | Reference;

/** Reads bytes. A state stands for all that was read; it is never changed, so that several futures can be tried from it. */
export interface Terminal<State = unknown> {
  readonly kind: 'terminal';
  readonly start: State;
  /** The state after one more byte; undefined when no text of this terminal goes on so. */
  step(state: State, byte: number): State | undefined;
  /** Whether what was read is a whole text of this terminal. */
  isComplete(state: State): boolean;
  /** Whether a byte may follow. A state that is not complete always can: nothing leads into a dead end. */
  canGoOn(state: State): boolean;
  /** How many characters it takes, whatever they are but quotes, backslashes and controls. Absent: that must be tried. */
  freeCharacters?(state: State): number;
}

export interface Sequence {
  readonly kind: 'sequence';
  readonly items: readonly Node[];
}

export interface Choice {
  readonly kind: 'choice';
  readonly options: readonly Node[];
}

/** Nodes of a kind, between which a separator stands. */
export interface Repeat {
  readonly kind: 'repeat';
  readonly item: Node;
  /** The separator and an item. */
  readonly next: Sequence;
  readonly min: number;
  /** May be infinite. */
  readonly max: number;
}

/** What stands between the braces of a JSON object; see `members.ts`. */
export interface Members {
  readonly kind: 'members';
  /** In the order in which they must come. */
  readonly properties: readonly Property[];
  /** The value of any property that is not among `properties`; absent: there is none. */
  readonly additional: Node | undefined;
  readonly min: number;
  readonly max: number;
}

export interface Property {
  readonly name: string;
  readonly value: Node;
  readonly isRequired: boolean;
}

/** A node that is made later, so that a grammar may contain itself. */
export interface Reference {
  readonly kind: 'reference';
  target: Node | undefined;
}

export const sequence = (...items: readonly Node[]): Sequence => ({ kind: 'sequence', items });
export const choice = (...options: readonly Node[]): Node => (options.length === 1 ? (options[0] as Node) : { kind: 'choice', options });

export const repeat = (item: Node, separator: Node, min: number, max: number): Repeat => ({
  kind: 'repeat',
  item,
  next: sequence(separator, item),
  min,
  max,
});
