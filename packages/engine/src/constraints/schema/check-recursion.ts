import type { Node, Reference } from '../grammar.ts';

/** The first reference that can be followed back to itself without a byte being read; undefined for none. */
export function findLoop(references: Iterable<Reference>): Reference | undefined {
  const safe = new Set<Reference>();
  const loops = (node: Node, open: ReadonlySet<Reference>): boolean => {
    if (node.kind === 'choice') return node.options.some((option) => loops(option, open));
    if (node.kind !== 'reference' || safe.has(node)) return false;
    if (open.has(node) || loops(node.target as Node, new Set(open).add(node))) return true;
    safe.add(node);
    return false;
  };
  for (const reference of references) if (loops(reference, new Set())) return reference;
  return undefined;
}

/** The first reference whose every text would be endless; undefined for none. */
export function findEndless(references: readonly Reference[]): Reference | undefined {
  const ends = new Set<Reference>();
  const canEnd = (node: Node): boolean => {
    switch (node.kind) {
      case 'terminal':
        return true;
      case 'sequence':
        return node.items.every(canEnd);
      case 'choice':
        return node.options.some(canEnd);
      case 'repeat':
        return node.min === 0 || canEnd(node.item);
      case 'members':
        return node.properties.every(({ isRequired, value }) => !isRequired || canEnd(value));
      case 'reference':
        return ends.has(node);
    }
  };
  for (let isNews = true; isNews;) {
    const found = references.filter((reference) => !ends.has(reference) && canEnd(reference.target as Node));
    for (const reference of found) ends.add(reference);
    isNews = found.length > 0;
  }
  return references.find((reference) => !ends.has(reference));
}
