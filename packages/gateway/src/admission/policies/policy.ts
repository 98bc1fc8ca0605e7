import type { Lane, LevelSlices, Standing } from '@open-autoglm/protocol';

/** A request that waits, as a policy sees it. */
export interface Waiting {
  readonly lane: Lane;
  /** Grows in the order of arrival. */
  readonly order: number;
  readonly tenant: string;
  /** As far as it can be told before the prompt is read. */
  readonly promptTokens: number;
  /** The likely length of each answer, never more than the client allows. */
  readonly expectedTokens: number;
  /** Sequences that it asks for. */
  readonly sequences: number;
  /** On the clock of `performance.now()`. */
  readonly deadlineAtMs: number | undefined;
}

/** What a policy may know beside the request. */
export interface Situation extends LevelSlices {
  /** Milliseconds that reading a token of a prompt takes, and making one of an answer. */
  readonly msPerPromptToken: number;
  readonly msPerOutputToken: number;
}

/** The next is the one with the smallest level, then the smallest rank, then the first to come. */
export type Place = Pick<Standing, 'level' | 'rank'>;

/** In which order those that wait are served: a pure function, and what must be known of it. */
export interface QueuePolicy {
  place(waiting: Waiting, situation: Situation): Place;
  /** Whether who has waited for the aging bound goes first, in the order of arrival: where others could overtake it for ever. */
  readonly ages: boolean;
  /** Its levels are of predicted work: an engine of ours lets those sink that take more. */
  readonly sinks?: boolean;
  /** Tenants are served alike before it is asked, whatever `fairness` says. */
  readonly isFair?: boolean;
}

/** The time that a request will take once it is served, in milliseconds. */
export function workOf(
  { promptTokens, expectedTokens }: Pick<Waiting, 'promptTokens' | 'expectedTokens'>,
  { msPerPromptToken, msPerOutputToken }: Pick<Situation, 'msPerPromptToken' | 'msPerOutputToken'>,
): number {
  return promptTokens * msPerPromptToken + expectedTokens * msPerOutputToken;
}
