import type { GeneratorFacts, ReplayResult, ReplaySettings, ReplayTarget, TraceFacts } from './result.ts';
import type { OutcomeKind } from './outcome.ts';

/** The figures of a replay; `report/` makes them, prints them, and plots them. */
export type Summarise = (result: ReplayResult) => ReplaySummary;

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
}

export interface TargetSummary {
  readonly target: ReplayTarget;
  readonly requests: number;
  readonly outcomes: Readonly<Record<OutcomeKind, number>>;
  /** The most frequent first. */
  readonly errors: readonly { readonly outcome: OutcomeKind; readonly error: string; readonly count: number }[];
  /** From when the request was due to its first token; null where no request had one, in all that follow too. */
  readonly ttft_ms: Quantiles | null;
  readonly tpot_ms: Quantiles | null;
  readonly e2e_ms: Quantiles | null;
  /** Requests a second that were answered and met the objective; without one, that were answered. */
  readonly goodput_rps: number;
  /** Share of all requests that were due; absent without an objective. */
  readonly slo_attainment?: number;
  readonly answered_rps: number;
  readonly output_tokens_per_second: number;
  readonly prompt_tokens_per_second: number;
  /** Of prompt tokens; absent where the server does not say. */
  readonly cached_share?: number;
  /** Absent where the trace knows no answers. */
  readonly answers?: { readonly checked: number; readonly correct: number };
}

export interface Quantiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly mean: number;
  readonly max: number;
}

export interface CompareSummary {
  readonly targets: readonly [TargetSummary, TargetSummary];
  readonly comparison: readonly Comparison[];
}

/** One figure of both targets, with the interval of their ratio. */
export interface Comparison {
  readonly figure: string;
  readonly a: number;
  readonly b: number;
  /** B ÷ A, with its 95 % interval over resampled slices. */
  readonly ratio: { readonly value: number; readonly low: number; readonly high: number };
  /** Which is better where the interval leaves no doubt. */
  readonly better: 'a' | 'b' | 'undecided';
}
