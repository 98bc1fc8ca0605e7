import { AutoglmError } from '@open-autoglm/protocol';

export interface PageQuery {
  readonly limit: number;
  readonly after: string | undefined;
  readonly order: 'asc' | 'desc';
  readonly purpose: string | undefined;
}

export interface PageRules {
  readonly known: readonly (keyof PageQuery)[];
  readonly limit: number;
  readonly limitMax: number;
}

/** The query of a list. Throws `unknown_parameter` and `invalid_value`. */
export function readPageQuery(url: string | undefined, { known, limit: defaultLimit, limitMax }: PageRules): PageQuery {
  const query = new URL(url ?? '/', 'http://host').searchParams;
  for (const name of query.keys()) {
    if (!(known as readonly string[]).includes(name))
      throw new AutoglmError('unknown_parameter', `Unknown parameter: '${name}'.`, { param: name });
  }
  const limit = query.get('limit') ?? String(defaultLimit);
  if (!/^\d{1,6}$/.test(limit) || Number(limit) < 1 || Number(limit) > limitMax)
    throw invalid('limit', `must be an integer from 1 to ${limitMax}`);
  const order = query.get('order') ?? 'desc';
  if (order !== 'asc' && order !== 'desc') throw invalid('order', 'must be "asc" or "desc"');
  return { limit: Number(limit), order, after: query.get('after') ?? undefined, purpose: query.get('purpose') ?? undefined };
}

/** One more than the page was asked for: so it is known whether there are more. */
export function toPage<T extends { readonly id: string }>(found: readonly T[], limit: number): object {
  const data = found.slice(0, limit);
  return { object: 'list', data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: found.length > limit };
}

export function invalid(param: string, reason: string): AutoglmError {
  return new AutoglmError('invalid_value', `Invalid value for '${param}': ${reason}.`, { param });
}
