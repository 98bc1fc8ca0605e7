import type { JudgeSettings } from './judge.ts';
import type { OutcomeRecorder } from './outcome-recorder.ts';
import type { CascadePolicy, JudgedBy } from './policy/index.ts';

/** A level of quality: a model, and how long one waits for it. */
export interface TierLevel {
  readonly tier: string;
  readonly model: string;
  /** To its first token; a whole answer that cannot be read as it comes has `answerMs`. */
  readonly firstTokenMs: number;
  /** For a whole answer that is held until it is judged. */
  readonly answerMs: number;
  /** Which questions are for the next level. */
  readonly policy: CascadePolicy | undefined;
}

export interface CascadeOptions extends JudgeSettings {
  /** The name that asks for the cascade. */
  readonly model: string;
  /** From the smallest to the largest; at least two. */
  readonly levels: readonly TierLevel[];
  readonly decide: JudgedBy;
  readonly heldCharactersMax: number;
  /** Whether somebody who answers for this model may be there. */
  readonly isReachable: (model: string) => boolean;
  /** Whether everybody who answers for this model takes requests as the client wrote them, images and all. */
  readonly isRemote: (model: string) => boolean;
  /** Told what became of each question; absent: nobody is. */
  readonly recorder?: Pick<OutcomeRecorder, 'question'> | undefined;
  /** Milliseconds on any clock that does not go back. */
  readonly now: () => number;
}
