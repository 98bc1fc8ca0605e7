import type { Machine } from './report/machine.ts';
import type { GeneratorFacts, ReplayResult, ReplaySettings, ReplayTarget, TraceFacts } from './result.ts';
import type { OutcomeKind } from './outcome.ts';

/** The figures of a replay; `report/` makes them, prints them, and plots them. Plain data without NaN or infinities: JSON has neither. */
/** What `--json` prints as its last line. With one target, its figures stand at the top; with two, they are in `targets`. */
export type ReplaySummary = RunSummary & (TargetSummary | CompareSummary);

export interface RunSummary {
  readonly started_at: string;
  readonly end: ReplayResult['end'];
  readonly wall_s: number;
  readonly warnings: readonly string[];
  readonly trace: TraceFacts;
  readonly settings: ReplaySettings;
  readonly generator: GeneratorFacts;
  /** Where the replay ran, which may not be where the servers did. */
  readonly machine: Machine;
}

export interface TargetSummary {
  readonly target: ReplayTarget;
  readonly requests: number;
  readonly outcomes: Readonly<Record<OutcomeKind, number>>;
  /** The most frequent first. */
  readonly errors: readonly ErrorCount[];
  /** Requests with errors that are not among these; absent when they all are. */
  readonly other_errors?: number;
  /** Of answered requests, from when they were due to the first token; null where none had one, in all that follow too. */
  readonly ttft_ms: Quantiles | null;
  readonly tpot_ms: Quantiles | null;
  readonly e2e_ms: Quantiles | null;
  /** Requests a second that were answered and met the objective; without one, that were answered. */
  readonly goodput_rps: number;
  /** Share of all requests that were due; absent without an objective. */
  readonly slo_attainment?: number;
  /** Of answered requests, how many missed which part of the objective. */
  readonly slo_misses?: { readonly ttft_ms: number; readonly tpot_ms: number; readonly e2e_ms: number };
  /** What rates are divided by: the whole run, or the time in which the slices of this one of two targets ran. */
  readonly active_s: number;
  readonly answered_rps: number;
  readonly output_tokens_per_second: number;
  /** Absent where the server does not say. */
  readonly prompt_tokens_per_second?: number;
  /** Of prompt tokens; absent where the server does not say. */
  readonly cached_share?: number;
  /** Absent where the trace knows no answers. */
  readonly answers?: { readonly checked: number; readonly correct: number };
  /** The server's own segments; absent where it does not tell them. */
  readonly segments_ms?: Readonly<Record<string, Quantiles>>;
}

export interface ErrorCount {
  readonly outcome: OutcomeKind;
  readonly status?: number;
  readonly error: string;
  readonly count: number;
}

export interface Quantiles {
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly mean: number;
  readonly max: number;
  /** Requests that have a value. */
  readonly count: number;
}

export interface CompareSummary {
  readonly targets: readonly [TargetSummary, TargetSummary];
  readonly comparison: readonly Comparison[];
}

/** One figure of both targets, with the interval of their ratio. */
export interface Comparison {
  /** As it is called in a target's summary: `ttft_ms.p99`. */
  readonly figure: string;
  readonly a: number | null;
  readonly b: number | null;
  /** B ÷ A, with its 95 % interval over resampled slices; null where there is nothing to divide. */
  readonly ratio: { readonly value: number; readonly low: number; readonly high: number } | null;
  /** What the interval was drawn from. */
  readonly slices: number;
  /**
   * Which is better where the interval leaves no doubt; `undecided` as well when there were too few slices for an interval that can be
   * trusted.
   */
  readonly better: 'a' | 'b' | 'undecided';
}
