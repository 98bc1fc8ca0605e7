import type { AutoglmError } from '@open-autoglm/protocol';

/** OpenAI's error object, with what else is to be said beside it. */
export function errorBody({ message, type, code, param }: AutoglmError, beside: object = {}): object {
  return { error: { message, type, code, param: param ?? null }, ...beside };
}
