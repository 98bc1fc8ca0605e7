import type { EmitEvent } from '@open-autoglm/protocol';
import type { Exchange } from './exchange.ts';

/** One request about texts and the response that it is owed. */
export interface TextsExchange<Parsed> extends Pick<Exchange, 'requestId' | 'response' | 'timings' | 'headers'> {
  readonly parsed: Parsed;
  readonly signal: AbortSignal;
  readonly emit: EmitEvent;
}
