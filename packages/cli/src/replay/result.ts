import type { RequestOutcome } from './outcome.ts';

/** One replay, complete: what the report is made of. Plain data, so that it crosses threads and can be written as JSON. */
export interface ReplayResult {
  /** ISO 8601. */
  readonly startedAt: string;
  readonly targets: readonly ReplayTarget[];
  readonly trace: TraceFacts;
  readonly options: ReplaySettings;
  /** In the order of their ends. */
  readonly outcomes: readonly RequestOutcome[];
  /** From the first moment of the schedule to the end of the last request. */
  readonly wallMs: number;
  /**
   * `interrupted`: Ctrl-C. `silent`: a server took connections and sent nothing at all, so the rest was not waited for. The outcomes
   * are then those of what had been due by that moment.
   */
  readonly end: 'completed' | 'interrupted' | 'silent';
  /** For people: what the replay had to assume, or could not do. */
  readonly warnings: readonly string[];
  readonly generator: GeneratorFacts;
}

export interface ReplayTarget {
  /** What the report calls it, unlike the other's. */
  readonly name: string;
  /** Without its `/v1`. */
  readonly url: string;
  readonly model: string;
  /** Merged into every request's body. */
  readonly body?: Readonly<Record<string, unknown>>;
}

export interface TraceFacts {
  readonly path: string;
  readonly format: 'azure' | 'mooncake' | 'burstgpt' | 'autoglm';
  /** Requests that were read and are replayed: within the limit and the duration. */
  readonly requestCount: number;
  /** Time from the first to the last of them, as the trace has it, before the rate is applied. */
  readonly spanMs: number;
  readonly brokenLineCount: number;
  /** The first of them. */
  readonly brokenLines: readonly BrokenLine[];
  /** Requests whose time lies before that of the one above them; they are sent with or after it, never earlier. */
  readonly clockBackwardsCount: number;
  /** Lines of the first such requests. */
  readonly clockBackwardsLines: readonly number[];
}

export interface BrokenLine {
  /** From 1. */
  readonly line: number;
  readonly reason: string;
}

/** What is chosen for a replay, and reported with it. */
export interface ReplayChoices {
  /** Of the replay: what the trace has after it is left out. */
  readonly durationMs?: number;
  readonly limit?: number;
  readonly slo?: ServiceLevelObjective;
  readonly timeoutMs: number;
  readonly inFlightMax: number;
  readonly promptScale: number;
  readonly outputScale: number;
  readonly promptTokensMax?: number;
  readonly outputTokensMax?: number;
  /** Of synthesised prompts: another seed gives other words, which no cache has seen. */
  readonly seed: number;
  /**
   * When comparing: the trace is cut in blocks of this length, each replayed to both targets, the first of them in turn. By the length of
   * the replay when not chosen.
   */
  readonly blockMs?: number;
}

/** Everything that could have been otherwise. */
export interface ReplaySettings extends ReplayChoices {
  /** Arrival times were divided by this. */
  readonly speed: number;
  /** The mean rate that results, requests a second of each target. */
  readonly meanRatePerSecond: number;
  /** How synthesised prompts were sized, for each target; absent where the trace holds all contents. */
  readonly calibration?: readonly Calibration[];
}

/** Tokens that the server counts for a prompt = overheadTokens + words × tokensPerWord. */
export interface Calibration {
  readonly tokensPerWord: number;
  /** The chat template's. */
  readonly overheadTokens: number;
  /** The server was asked; otherwise assumed. */
  readonly isMeasured: boolean;
}

/** A request meets it when each that is named holds. Milliseconds. */
export interface ServiceLevelObjective {
  readonly ttftMs?: number;
  readonly tpotMs?: number;
  readonly e2eMs?: number;
}

/** What the measuring instrument itself did. */
export interface GeneratorFacts {
  /** User and system time of the whole process while it ran: sending, reading, and making the prompts. */
  readonly cpuSeconds: number;
  /** Sent − due, over all requests that were sent; null when none was. */
  readonly latenessMs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
  /**
   * Time zero of the outcomes on the machine's monotonic clock, milliseconds: what another process of the machine stamped with
   * `process.hrtime` can be compared. On another machine it says nothing.
   */
  readonly originMs: number;
  readonly inFlightPeak: number;
  readonly connectionPeak: number;
}
