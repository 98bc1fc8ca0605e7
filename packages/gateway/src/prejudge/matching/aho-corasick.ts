const root = 0;
const none = -1;
/** Entries of the table in which the states nearest to the root have all their transitions; 4 MiB. */
const tableEntriesMax = 2 ** 20;
/** Of characters that occur in no word, and of those that count as not there. */
const otherClass = 0;
const skippedClass = 0xffff;
/** Nodes that are worked on in one step of building. */
const stepNodes = 1024;

/**
 * Finds which of many words occur in a text, in one pass over it: time grows with the text, not with the words (Aho and Corasick
 * 1975). Characters are UTF-16 units; those that occur in no word share one class. States are numbered breadth first. The first of
 * them, where most of a text is spent, have a table with every transition; the others know their children, and fall back to shorter
 * suffixes of what was read until one has the child.
 */
export class AhoCorasick {
  readonly #classOf: Uint16Array;
  readonly #classCount: number;
  readonly #table: Int32Array;
  readonly #tableStates: number;
  /**
   * Children of state s: edges [childStart[s], childStart[s + 1]), by class. Numbered breadth first, the state that edge e leads to is e +
   * 1.
   */
  readonly #childStart: Int32Array;
  readonly #childClass: Int32Array;
  /** The longest suffix of what leads to a state that leads to a state itself. */
  readonly #suffix: Int32Array;
  /** The word that ends at a state, and the next shorter suffix at which a word ends; `none` where there is none. */
  readonly #wordAt: Int32Array;
  readonly #nextWordState: Int32Array;
  /** 1 where a word ends, at the state or at a suffix of it: nothing else of a state is looked at on most characters. */
  readonly #hasWord: Uint8Array;
  /** The scan that last reported a state: one that occurs a thousand times is reported once. */
  readonly #reportedIn: Int32Array;
  #scan = 0;

  /**
   * Builds an automaton in steps of about a millisecond, between which its caller may let others have a turn. Words are not empty, and
   * no two are equal. `skip`: 1 for characters that count as not there, by UTF-16 unit; no word has one.
   */
  static *inSteps(words: readonly string[], skip?: Uint8Array): Generator<undefined, AhoCorasick> {
    const classOf = new Uint16Array(0x1_0000).fill(otherClass);
    const classCount = numberClasses(words, classOf) + 1;
    skip?.forEach((isSkipped, unit) => {
      if (isSkipped === 1) classOf[unit] = skippedClass;
    });
    const nodes = yield* breadthFirst(yield* growTrie(words, classOf));
    const automaton = new AhoCorasick(nodes.length, classOf, classCount);
    for (const [state, node] of nodes.entries()) {
      automaton.#enter(state, node);
      if (state % stepNodes === 0) yield;
    }
    for (let state = 0; state < nodes.length; state += 1) {
      automaton.#complete(state);
      if (state % stepNodes === 0) yield;
    }
    return automaton;
  }

  static of(words: readonly string[], skip?: Uint8Array): AhoCorasick {
    const steps = AhoCorasick.inSteps(words, skip);
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
    }
  }

  private constructor(count: number, classOf: Uint16Array, classCount: number) {
    this.#classOf = classOf;
    this.#classCount = classCount;
    this.#wordAt = new Int32Array(count);
    this.#childStart = new Int32Array(count + 1);
    this.#childClass = new Int32Array(count - 1);
    this.#suffix = new Int32Array(count);
    this.#nextWordState = new Int32Array(count).fill(none);
    this.#hasWord = new Uint8Array(count);
    this.#reportedIn = new Int32Array(count);
    this.#tableStates = Math.min(count, Math.max(1, Math.floor(tableEntriesMax / classCount)));
    this.#table = new Int32Array(this.#tableStates * classCount);
  }

  /** Calls back once with each word that occurs, by its index. What the loop reads is local: it runs for each character of every prompt. */
  scan(text: string, onWord: (index: number) => void): void {
    this.#scan += 1;
    const classOf = this.#classOf;
    const classCount = this.#classCount;
    const table = this.#table;
    const tableStates = this.#tableStates;
    const hasWord = this.#hasWord;
    let state = root;
    for (let index = 0; index < text.length; index += 1) {
      const klass = classOf[text.charCodeAt(index)] as number;
      if (klass === skippedClass) continue;
      state = state < tableStates ? (table[state * classCount + klass] as number) : this.#step(state, klass);
      if (hasWord[state] === 1) this.#report(state, onWord);
    }
  }

  #step(from: number, klass: number): number {
    let state = from;
    while (state >= this.#tableStates) {
      const child = this.#child(state, klass);
      if (child !== none) return child;
      state = this.#suffix[state] as number;
    }
    return this.#table[state * this.#classCount + klass] as number;
  }

  #child(state: number, klass: number): number {
    let low = this.#childStart[state] as number;
    let high = this.#childStart[state + 1] as number;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const found = this.#childClass[middle] as number;
      if (found === klass) return middle + 1;
      if (found < klass) low = middle + 1;
      else high = middle;
    }
    return none;
  }

  /** The words that end here; where one was reported before, so were those behind it. */
  #report(state: number, onWord: (index: number) => void): void {
    for (let at = state; at !== none && this.#reportedIn[at] !== this.#scan; at = this.#nextWordState[at] as number) {
      this.#reportedIn[at] = this.#scan;
      const word = this.#wordAt[at] as number;
      if (word !== none) onWord(word);
    }
  }

  /** A state's word and edges, in the order of the states. */
  #enter(state: number, { word, children }: Node): void {
    const start = this.#childStart[state] as number;
    this.#wordAt[state] = word;
    this.#childStart[state + 1] = start + children.length;
    for (const [index, { klass }] of children.entries()) this.#childClass[start + index] = klass;
  }

  /** A state whose own suffix is known, and all states before it complete: gives its children theirs, and itself its transitions. */
  #complete(state: number): void {
    const suffix = this.#suffix[state] as number;
    if (state !== root) this.#nextWordState[state] = this.#wordAt[suffix] === none ? (this.#nextWordState[suffix] as number) : suffix;
    if (this.#wordAt[state] !== none || this.#nextWordState[state] !== none) this.#hasWord[state] = 1;
    const start = this.#childStart[state] as number;
    const end = this.#childStart[state + 1] as number;
    for (let edge = start; edge < end; edge += 1) {
      const klass = this.#childClass[edge] as number;
      this.#suffix[edge + 1] = state === root ? root : this.#step(suffix, klass);
    }
    if (state >= this.#tableStates) return;
    const row = state * this.#classCount;
    if (state !== root) this.#table.copyWithin(row, suffix * this.#classCount, (suffix + 1) * this.#classCount);
    for (let edge = start; edge < end; edge += 1) this.#table[row + (this.#childClass[edge] as number)] = edge + 1;
  }
}

interface Node {
  readonly klass: number;
  /** By class, once the trie is grown. */
  readonly children: Node[];
  readonly byClass: Map<number, Node>;
  /** The word that ends here. */
  word: number;
}

const newNode = (klass: number): Node => ({ klass, children: [], byClass: new Map(), word: none });

/** Numbers the characters that occur, from 1; returns how many they are. */
function numberClasses(words: readonly string[], classOf: Uint16Array): number {
  let classes = 0;
  for (const word of words) {
    for (let index = 0; index < word.length; index += 1) {
      const unit = word.charCodeAt(index);
      if (classOf[unit] === otherClass) classOf[unit] = ++classes;
    }
  }
  return classes;
}

function* growTrie(words: readonly string[], classOf: Uint16Array): Generator<undefined, Node> {
  const top = newNode(otherClass);
  let grown = 0;
  for (const [index, word] of words.entries()) {
    let node = top;
    for (let at = 0; at < word.length; at += 1) {
      const klass = classOf[word.charCodeAt(at)] as number;
      const child = node.byClass.get(klass) ?? newNode(klass);
      node.byClass.set(klass, child);
      node = child;
      if (++grown % stepNodes === 0) yield;
    }
    node.word = index;
  }
  return top;
}

function* breadthFirst(top: Node): Generator<undefined, readonly Node[]> {
  const nodes = [top];
  for (let state = 0; state < nodes.length; state += 1) {
    const { byClass, children } = nodes[state] as Node;
    children.push(...byClass.values());
    children.sort((a, b) => a.klass - b.klass);
    nodes.push(...children);
    if (state % stepNodes === 0) yield;
  }
  return nodes;
}
