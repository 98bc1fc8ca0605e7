/** The keys that lead from a value to one within it. */
export type JsonPath = readonly (string | number)[];

/** A container on the way to where the search is. */
interface Entered {
  readonly container: Readonly<Record<string | number, unknown>>;
  /** Undefined: an array's are its indices. */
  readonly keys: readonly string[] | undefined;
  readonly count: number;
  /** The next child to look at. */
  next: number;
}

/**
 * The first value within `root`, and `root` itself, that is looked for; undefined: there is none. Without recursion, which a body could
 * nest too deeply for, and with memory for the way to one value only: a body of 8 MiB may hold as many values, and nearly always none
 * is looked for.
 */
export function findPath(root: unknown, isLookedFor: (value: unknown, depth: number) => boolean): JsonPath | undefined {
  const way: Entered[] = [];
  let value = root;
  for (;;) {
    if (isLookedFor(value, way.length)) return way.map(({ keys, next }) => (keys ? (keys[next - 1] as string) : next - 1));
    if (typeof value === 'object' && value !== null) way.push(enter(value));
    let last = way.at(-1);
    while (last && last.next === last.count) {
      way.pop();
      last = way.at(-1);
    }
    if (!last) return undefined;
    value = last.container[last.keys ? (last.keys[last.next] as string) : last.next];
    last.next += 1;
  }
}

function enter(container: object): Entered {
  const keys = Array.isArray(container) ? undefined : Object.keys(container);
  return {
    container: container as Entered['container'],
    keys,
    count: keys ? keys.length : (container as readonly unknown[]).length,
    next: 0,
  };
}

/** As a client writes it: `messages[0].content`. */
export function nameOfPath(path: JsonPath): string {
  return path.map((key, index) => (typeof key === 'number' ? `[${key}]` : index === 0 ? key : `.${key}`)).join('');
}

/** What is there. */
export function valueAt(root: unknown, path: JsonPath): unknown {
  return path.reduce((value, key) => (value as Entered['container'])[key], root);
}
