import type { AutoglmError } from '@open-autoglm/protocol';

/** OpenAI's error object, with what else is to be said beside it. */
export function errorBody(error: AutoglmError, beside: object = {}): string {
  const { message, type, code, param } = error;
  return JSON.stringify({ error: { message, type, code, param: param ?? null }, ...beside });
}
