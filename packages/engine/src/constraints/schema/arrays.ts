import { choice, repeat, sequence, type Node } from '../grammar.ts';
import { closing, opening } from '../terminals/punctuation.ts';
import { at, countRange, schemaError, schemaLimits, type Schema, type SchemaContext } from './context.ts';

export const arrayKeywords = ['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'] as const;

const comma = opening(',');

/** An array: the items of `prefixItems`, then those of `items`. Without `prefixItems`, `items` says what each is. */
export function compileArray(context: SchemaContext, schema: Schema, path: string): Node {
  const { prefixItems = [], items, uniqueItems = false } = schema;
  if (uniqueItems !== false) throw schemaError(at(path, 'uniqueItems'), 'is not supported');
  if (!Array.isArray(prefixItems)) throw schemaError(at(path, 'prefixItems'), 'must be an array of schemas');
  if (prefixItems.length > schemaLimits.prefixItems)
    throw schemaError(at(path, 'prefixItems'), `has more than ${schemaLimits.prefixItems} schemas`);
  const [min, max] = countRange(schema, ['minItems', 'maxItems'], path);
  const prefix = prefixItems.map((item, index) => context.compile(item, at(at(path, 'prefixItems'), index)));
  // Who lists the first items means those.
  const rest =
    items === false || (items === undefined && prefix.length > 0) ? undefined : context.compile(items ?? true, at(path, 'items'));
  if (!rest && min > prefix.length) throw schemaError(at(path, 'minItems'), 'is more than there are items');
  return sequence(opening('['), tail(prefix, 0, rest, min, max), closing(']'));
}

/** The items from `index` on. */
function tail(prefix: readonly Node[], index: number, rest: Node | undefined, min: number, max: number): Node {
  const options: Node[] = [];
  const item = prefix[index];
  const separated = (node: Node) => (index === 0 ? node : sequence(comma, node));
  if (index >= min) options.push(nothing);
  if (item && index < max) options.push(sequence(separated(item), tail(prefix, index + 1, rest, min, max)));
  if (!item && rest && index < max) options.push(separated(repeat(rest, comma, Math.max(1, min - index), max - index)));
  return choice(...options);
}

const nothing: Node = { kind: 'terminal', start: undefined, step: () => undefined, isComplete: () => true, canGoOn: () => false };
