import type { RequestToSend } from './prepared.ts';
import type { SenderEnd, SenderOptions } from './sender.ts';

/** Given to the generator's thread when it starts. */
export interface GeneratorThreadData {
  readonly options: Pick<SenderOptions, 'targets' | 'timeoutMs' | 'inFlightMax' | 'silenceMaxMs'>;
  /** The cell of `UnreadLogs`. */
  readonly unreadLogs: Int32Array<SharedArrayBuffer>;
}

export type ToGenerator =
  | { readonly kind: 'requests'; readonly requests: readonly RequestToSend[] }
  /** The clock starts. */
  | { readonly kind: 'begin' }
  /** No more requests come. */
  | { readonly kind: 'complete' }
  /** Nothing more of this request is of use. */
  | { readonly kind: 'drop'; readonly id: number }
  | { readonly kind: 'stop' };

export interface GeneratorEnd {
  readonly end: SenderEnd;
  /** Time zero of the outcomes, on the clock of `process.hrtime`; milliseconds. */
  readonly originMs: number;
  readonly inFlightPeak: number;
  readonly connectionPeak: number;
}

export interface SendingProgress {
  /** Requests that wait no more. */
  readonly takenCount: number;
}

export type FromGenerator =
  /** The clock has started. */
  | { readonly kind: 'begun' }
  /** What was told since, as `FactWriter` writes it. */
  | { readonly kind: 'log'; readonly log: Uint8Array<ArrayBuffer> }
  | ({ readonly kind: 'progress' } & SendingProgress)
  | ({ readonly kind: 'ended' } & GeneratorEnd);
