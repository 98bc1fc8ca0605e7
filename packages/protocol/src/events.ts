import type { EngineDelays } from './parts.ts';

/**
 * Named parts of a request's time, as `Server-Timing` reports them. `other` is what no stage claims: transport between
 * processes, scheduling, an event loop that was busy. With `other` the parts add up to `total`, except where the output
 * waited for the client while the engine went on: both then count in full.
 */
export type Segment = 'prejudge' | 'input' | 'cache' | 'queue' | 'prefill' | 'decode' | 'upstream' | 'output' | 'other' | 'total';

export type RequestOutcome = 'answered' | 'failed' | 'abandoned';

/** How the response cache answered; `off`: it was not asked. */
export type CacheResult = 'miss' | 'exact' | 'semantic' | 'inflight' | 'off';

/** Where the buckets of the limits are. */
export type LimitSource = 'memory' | 'redis' | 'fallback';
/** What follows from a rule: the request is refused, answered with a fixed text, or told apart by labels and goes on. */
export type RuleVerdict = 'refuse' | 'answer' | 'label';

/**
 * Why a segment grew: waiting in a queue; for what another holds; for a client or a remote engine; for a busy processor; for the garbage
 * collector.
 */
export type BottleneckCause = 'queueing' | 'lock' | 'io' | 'cpu' | 'gc';

/** What made one request slower than its like. */
export interface Bottleneck {
  readonly segment: Exclude<Segment, 'total'>;
  readonly cause: BottleneckCause;
  /** Closer: one of the details listed in `observability/bottleneck/diagnose.ts`. */
  readonly detail: string;
  readonly durationMs: number;
  /** What the segment takes by its own baseline. */
  readonly expectedMs: number;
}

/** Words of a client and of a model. */
export interface Content {
  readonly input: readonly { readonly role: string; readonly text: string }[];
  readonly answers: readonly string[];
}

/** Facts that stages state about a request, with reasons. Metrics, traces and headers subscribe; no stage knows them. */
export type GatewayEvent =
  /** The body was read and understood. */
  | {
      readonly type: 'request-parsed';
      readonly model: string;
      readonly stream: boolean;
      readonly maxTokens: number | undefined;
      readonly choiceCount: number;
    }
  /**
   * A part of the time has ended now; `reason` says what it was spent on, where the stage knows. Several of one segment add
   * up; those of choices, which run side by side, do not: the slowest choice counts. `delays`: what an engine knows of the time.
   */
  | {
      readonly type: 'segment-end';
      readonly segment: Segment;
      readonly durationMs: number;
      readonly reason?: string;
      readonly choice?: number;
      readonly delays?: EngineDelays | undefined;
    }
  /** What the limits of its key and its tenant said of it; `fallback`: this gateway alone, because Redis did not answer. */
  | { readonly type: 'limit-decision'; readonly result: 'admitted' | 'refused'; readonly source: LimitSource }
  /** A rule of the operator's was met. `isWatched`: it is only told, and nothing follows from it. */
  | { readonly type: 'rule-met'; readonly rule: string; readonly verdict: RuleVerdict; readonly isWatched: boolean }
  | { readonly type: 'cache-lookup'; readonly result: CacheResult; readonly reason?: string }
  /** Something that the client is told of its answer: it comes under this name in the answer's `autoglm`. Several of one name: the last. */
  | { readonly type: 'answer-note'; readonly name: string; readonly value: unknown }
  /**
   * The prompt became shorter than the client sent it, or different texts to the same end; `by`: what did it. In tokens, as far as they are
   * counted.
   */
  | {
      readonly type: 'prompt-shortened';
      readonly by: string;
      readonly tokensBefore: number;
      readonly tokens: number;
      readonly reason: string;
    }
  | { readonly type: 'engine-chosen'; readonly engine: string; readonly tier: string; readonly reason: string }
  /**
   * Of a cascade: a tier that does not answer, or would not have; `reason`: `unreachable`, `over_budget`, `failed`, `low_confidence`,
   * `too_hard`, `unsuitable`; `detail`: closer, for people.
   */
  | {
      readonly type: 'tier-passed';
      readonly tier: string;
      readonly model: string;
      readonly reason: string;
      readonly detail: string;
      readonly durationMs: number;
    }
  /** A prompt has been read by the engine; one event for each choice. */
  | { readonly type: 'prompt-end'; readonly choice: number; readonly promptTokens: number; readonly cachedTokens: number }
  /**
   * Spent on the way to the answer, by engines that did not give it: what its documents say, tiers that were passed over. Several add up.
   */
  | { readonly type: 'tokens-spent'; readonly model: string; readonly promptTokens: number; readonly completionTokens: number }
  /** The first text of the request has reached the output: a stream writes it now, a whole answer keeps it for its end. */
  | { readonly type: 'first-token' }
  | { readonly type: 'choice-end'; readonly choice: number; readonly finishReason: string; readonly completionTokens: number }
  /** What was asked, and answered by each choice; cut to a bound, and stated only where the configuration asks for contents. */
  | ({ readonly type: 'content' } & Content)
  /** Stated by `observability/` itself, just before `request-end`, and only of requests that were slow. */
  | ({ readonly type: 'bottleneck' } & Bottleneck)
  /** The last event of every request. `status` is the HTTP status sent, or that would have been sent; `cause`: what an error came from. */
  | {
      readonly type: 'request-end';
      readonly outcome: RequestOutcome;
      readonly status: number;
      readonly code?: string;
      readonly cause?: unknown;
    };

export type EmitEvent = (event: GatewayEvent) => void;
