import type { Wording } from '../rules/wording.ts';
import type { Belief } from './belief.ts';
import { decide, type Decision } from './decide.ts';
import { EntryRecord } from './entry-record.ts';
import { Evidence, type Observation } from './evidence.ts';

export interface LearnerOptions {
  /** The share of wrong answers that is tolerated among those that are served, above 0. */
  readonly errorMax: number;
  /** At least this share of the trusted ones is checked. */
  readonly checkShare: number;
  /** Entries whose checks are remembered. */
  readonly entriesMax: number;
  /** 0 … 1. */
  readonly random: () => number;
}

/** A candidate that every rule has agreed to. */
export interface Candidate {
  /** The entry's. */
  readonly key: string;
  readonly similarity: number;
  readonly wording: Wording;
}

/** Learns from checks which candidates can be trusted. */
export class Learner {
  readonly #options: LearnerOptions;
  /** Least recently checked first; only entries that were checked. */
  readonly #records = new Map<string, EntryRecord>();
  readonly evidence: Evidence;

  constructor(options: LearnerOptions) {
    this.#options = options;
    this.evidence = new Evidence(options.errorMax);
  }

  belief({ key, similarity, wording }: Candidate): Belief {
    const pooled = this.evidence.belief(wording, similarity);
    return this.#records.get(key)?.belief(similarity, pooled) ?? pooled;
  }

  decide(candidate: Candidate): Decision {
    const { errorMax, checkShare, random } = this.#options;
    return decide({ ...this.belief(candidate), errorMax, checkShare, random: random() });
  }

  /** What a check has shown. */
  learn({ key, similarity, wording }: Candidate, isRight: boolean): void {
    const observation: Observation = { similarity, isRight };
    this.evidence.add(wording, observation);
    const record = this.#records.get(key) ?? new EntryRecord();
    record.add(observation);
    this.#records.delete(key);
    this.#records.set(key, record);
    if (this.#records.size > this.#options.entriesMax) this.forget(this.#records.keys().next().value as string);
  }

  /** The entry is gone. */
  forget(key: string): void {
    this.#records.delete(key);
  }
}
