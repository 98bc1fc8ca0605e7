const root = 0;
const none = -1;
/** Entries of the table in which the states nearest to the root have all their transitions; 4 MiB. */
const tableEntriesMax = 2 ** 20;

/**
 * Finds which of many words occur in a text, in one pass over it: time grows with the text, not with the words (Aho and Corasick
 * 1975). Characters are UTF-16 units; those that occur in no word share one class. States are numbered breadth first. The first of
 * them, where most of a text is spent, have a table with every transition; the others know their children, and fall back to shorter
 * suffixes of what was read until one has the child.
 */
export class AhoCorasick {
  readonly #classOf = new Uint16Array(0x1_0000);
  readonly #classCount: number;
  readonly #table: Int32Array;
  readonly #tableStates: number;
  /** Children of state s: `#childClass` and `#childState` in [childStart[s], childStart[s + 1]), by class. */
  readonly #childStart: Int32Array;
  readonly #childClass: Int32Array;
  readonly #childState: Int32Array;
  /** The longest suffix of what leads to a state that leads to a state itself. */
  readonly #suffix: Int32Array;
  /** The word that ends at a state, and the next shorter suffix at which a word ends; `none` where there is none. */
  readonly #wordAt: Int32Array;
  readonly #nextWordState: Int32Array;
  /** The scan that last reported a state: one that occurs a thousand times is reported once. */
  readonly #reportedIn: Int32Array;
  #scan = 0;

  /** Words are not empty, and no two are equal. */
  constructor(words: readonly string[]) {
    this.#classCount = this.#numberClasses(words) + 1;
    const nodes = breadthFirst(growTrie(words, this.#classOf));
    const count = nodes.length;
    const edges = nodes.flatMap(({ children }) => [...children].sort(([a], [b]) => a - b));
    this.#wordAt = Int32Array.from(nodes, ({ word }) => word);
    this.#childStart = new Int32Array(count + 1);
    for (const [state, { children }] of nodes.entries()) this.#childStart[state + 1] = (this.#childStart[state] as number) + children.size;
    this.#childClass = Int32Array.from(edges, ([klass]) => klass);
    this.#childState = Int32Array.from(edges, ([, child]) => child.state);
    this.#suffix = new Int32Array(count);
    this.#nextWordState = new Int32Array(count).fill(none);
    this.#reportedIn = new Int32Array(count);
    this.#tableStates = Math.min(count, Math.max(1, Math.floor(tableEntriesMax / this.#classCount)));
    this.#table = new Int32Array(this.#tableStates * this.#classCount);
    for (let state = 0; state < count; state += 1) this.#complete(state);
  }

  /** Calls back once with each word that occurs, by its index. `skip`: characters that count as not there, by UTF-16 unit. */
  scan(text: string, onWord: (index: number) => void, skip?: Uint8Array): void {
    this.#scan += 1;
    let state = root;
    for (let index = 0; index < text.length; index += 1) {
      const unit = text.charCodeAt(index);
      if (skip !== undefined && skip[unit] === 1) continue;
      const klass = this.#classOf[unit] as number;
      state = klass === 0 ? root : this.#step(state, klass);
      if (state !== root && this.#reportedIn[state] !== this.#scan) this.#report(state, onWord);
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
      if (found === klass) return this.#childState[middle] as number;
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

  #numberClasses(words: readonly string[]): number {
    let classes = 0;
    for (const word of words) {
      for (let index = 0; index < word.length; index += 1) {
        const unit = word.charCodeAt(index);
        if (this.#classOf[unit] === 0) this.#classOf[unit] = ++classes;
      }
    }
    return classes;
  }

  /** A state whose own suffix is known, and all states before it complete: gives its children theirs, and itself its transitions. */
  #complete(state: number): void {
    const suffix = this.#suffix[state] as number;
    if (state !== root) this.#nextWordState[state] = this.#wordAt[suffix] === none ? (this.#nextWordState[suffix] as number) : suffix;
    const start = this.#childStart[state] as number;
    const end = this.#childStart[state + 1] as number;
    for (let edge = start; edge < end; edge += 1) {
      const klass = this.#childClass[edge] as number;
      this.#suffix[this.#childState[edge] as number] = state === root ? root : this.#step(suffix, klass);
    }
    if (state >= this.#tableStates) return;
    const row = state * this.#classCount;
    if (state !== root) this.#table.copyWithin(row, suffix * this.#classCount, (suffix + 1) * this.#classCount);
    for (let edge = start; edge < end; edge += 1) this.#table[row + (this.#childClass[edge] as number)] = this.#childState[edge] as number;
  }
}

interface Node {
  readonly children: Map<number, Node>;
  /** The word that ends here. */
  word: number;
  /** Its number, breadth first. */
  state: number;
}

function growTrie(words: readonly string[], classOf: Uint16Array): Node {
  const newNode = (): Node => ({ children: new Map(), word: none, state: root });
  const top = newNode();
  for (const [index, word] of words.entries()) {
    let node = top;
    for (let at = 0; at < word.length; at += 1) {
      const klass = classOf[word.charCodeAt(at)] as number;
      const child = node.children.get(klass) ?? newNode();
      node.children.set(klass, child);
      node = child;
    }
    node.word = index;
  }
  return top;
}

function breadthFirst(top: Node): Node[] {
  const nodes = [top];
  for (let state = 0; state < nodes.length; state += 1) {
    const node = nodes[state] as Node;
    node.state = state;
    nodes.push(...node.children.values());
  }
  return nodes;
}
