import { AutoglmError, toAutoglmError } from '@open-autoglm/protocol';
import type { WireError } from './messages.ts';

/** An error as it crosses to the gateway; what nobody expected is written down here, where its stack is. */
export function toWire(error: unknown): WireError {
  const { code, message, param, retryAfterSeconds } = toAutoglmError(error);
  if (!(error instanceof AutoglmError)) console.error(error);
  return { code, message, param, retryAfterSeconds };
}

export function fromWire({ code, message, param, retryAfterSeconds }: WireError): AutoglmError {
  return new AutoglmError(code, message, { param, retryAfterSeconds });
}
