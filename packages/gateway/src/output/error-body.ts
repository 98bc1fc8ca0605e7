import type { AutoglmError } from '@open-autoglm/protocol';

/** OpenAI's error object. */
export function errorBody(error: AutoglmError): string {
  const { message, type, code, param } = error;
  return JSON.stringify({ error: { message, type, code, param: param ?? null } });
}
