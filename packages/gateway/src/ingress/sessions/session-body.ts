import { AutoglmError } from '@open-autoglm/protocol';
import { isNestedTooDeeply, nestingMax } from '../../common/nesting.ts';
import { lengthNames } from '../answer-length.ts';
import { sessionTooLarge } from './session-errors.ts';

type Body = Readonly<Record<string, unknown>>;

/** What a completion may not say because the session says it. */
const sessionOwn = ['messages'] as const;

export interface CompletionOptions {
  /** Whether the answer becomes a turn of the session. */
  readonly append: boolean;
  /** A JSON Patch of the session, before it is asked; undefined: it is asked as it is. */
  readonly patch: unknown;
}

/** What a request says beside the session: its own fields, and what it wants of the session. */
export interface CompletionRequest {
  readonly fields: Body;
  readonly extensions: Body;
  readonly options: CompletionOptions;
}

/** A chat body as the session keeps it. Throws `invalid_value` for what only a request can say. */
export function checkSessionBody(body: unknown): Body {
  const checked = body as Body;
  const { autoglm } = checked as { autoglm?: Body | null };
  if (autoglm && Object.hasOwn(autoglm, 'tenant')) {
    throw new AutoglmError(
      'invalid_value',
      "Invalid value for 'autoglm.tenant': a session is its tenant's for good; name the tenant in x-autoglm-tenant, with each request.",
      { param: 'autoglm.tenant' },
    );
  }
  return checked;
}

/** As it is stored. Throws `payload_too_large`, or `invalid_value` for a body that patches have nested deeper than a request may be. */
export function encodeBody(body: Body, bytesMax: number): string {
  const text = withinStack(() => JSON.stringify(body));
  if (isNestedTooDeeply(text)) throw nestedTooDeeply();
  const size = Buffer.byteLength(text);
  if (size > bytesMax) throw sessionTooLarge(size, bytesMax);
  return text;
}

/** JSON itself has no bound on nesting, but every function that walks it has one. */
export function withinStack<T>(walk: () => T): T {
  try {
    return walk();
  } catch (error) {
    if (error instanceof RangeError) throw nestedTooDeeply();
    throw error;
  }
}

function nestedTooDeeply(): AutoglmError {
  return new AutoglmError('invalid_value', `The body is nested more than ${nestingMax} deep.`);
}

/** Throws `invalid_value` for a request with messages, or with an `autoglm.append` that is not true or false. */
export function readCompletion(request: unknown): CompletionRequest {
  if (typeof request !== 'object' || request === null || Array.isArray(request))
    throw new AutoglmError('invalid_json', 'The body must be a JSON object.');
  const own = request as Record<string, unknown>;
  const param = sessionOwn.find((name) => Object.hasOwn(own, name));
  if (param !== undefined)
    throw new AutoglmError('invalid_value', `Invalid value for '${param}': the session has them; change it with PATCH.`, { param });
  const { autoglm } = own;
  if (autoglm !== undefined && autoglm !== null && (typeof autoglm !== 'object' || Array.isArray(autoglm))) {
    throw new AutoglmError('invalid_value', "Invalid value for 'autoglm': must be an object.", { param: 'autoglm' });
  }
  const { append, patch, ...extensions } = (autoglm ?? {}) as { append?: unknown; patch?: unknown };
  if (append !== undefined && append !== null && typeof append !== 'boolean') {
    throw new AutoglmError('invalid_value', "Invalid value for 'autoglm.append': must be true or false.", { param: 'autoglm.append' });
  }
  const { autoglm: _extensions, ...fields } = own;
  return { fields, extensions, options: { append: append === true, patch: patch ?? undefined } };
}

/** The session's body with a request's own fields over it; of `autoglm` key by key. */
export function bodyOfCompletion(session: Body, { fields, extensions }: CompletionRequest): Body {
  const { autoglm, ...common }: Record<string, unknown> = session;
  if (lengthNames.some((name) => Object.hasOwn(fields, name))) for (const name of lengthNames) delete common[name];
  const merged = { ...(autoglm as object | undefined), ...extensions };
  return { ...common, ...fields, ...(Object.keys(merged).length > 0 && { autoglm: merged }) };
}
