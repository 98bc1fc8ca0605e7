import type { RequestOutcome } from '../outcome.ts';
import type { PreparedRequest } from './prepared.ts';
import type { SenderEnd, SenderOptions } from './sender.ts';

/** Given to the generator's thread when it starts. */
export interface GeneratorThreadData {
  readonly options: Pick<SenderOptions, 'targets' | 'timeoutMs' | 'inFlightMax' | 'silenceMaxMs'>;
}

export type ToGenerator =
  | { readonly kind: 'requests'; readonly requests: readonly PreparedRequest[] }
  /** The clock starts. */
  | { readonly kind: 'begin' }
  /** No more requests come. */
  | { readonly kind: 'complete' }
  | { readonly kind: 'stop' };

export interface GeneratorEnd {
  readonly end: SenderEnd;
  /** Time zero of the outcomes, on the clock of `process.hrtime`; milliseconds. */
  readonly originMs: number;
  readonly inFlightPeak: number;
  readonly connectionPeak: number;
}

export interface GeneratorProgress {
  /** Since the last message. */
  readonly outcomes: readonly RequestOutcome[];
  /** Requests that wait no more. */
  readonly takenCount: number;
  readonly inFlight: number;
}

export type FromGenerator =
  /** The clock has started. */
  | { readonly kind: 'begun' }
  | ({ readonly kind: 'progress' } & GeneratorProgress)
  | ({ readonly kind: 'ended' } & GeneratorEnd & GeneratorProgress);
