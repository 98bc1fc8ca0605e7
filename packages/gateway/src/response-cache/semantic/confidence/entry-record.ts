import type { Belief } from './belief.ts';
import type { Observation } from './evidence.ts';

/** An entry's last checks are kept, so many. */
const observationsMax = 32;
/** What all entries have shown counts as at most so many checks of this one. */
const pooledChecksMax = 20;
/** Similarities so close are not told apart. */
const margin = 0.02;

/**
 * What the checks of one entry have shown (after vCache, Schroeder et al. 2025: some questions have near neighbours that want other
 * answers, so each entry learns a threshold of its own). With few checks it is what all entries have shown.
 */
export class EntryRecord {
  #observations: Observation[] = [];

  add(observation: Observation): void {
    this.#observations.push(observation);
    if (this.#observations.length > observationsMax) this.#observations = this.#observations.slice(1);
  }

  /**
   * What to expect at this similarity, where `pooled` is expected of entries in general. What was right at a lower similarity is right
   * here, and what was wrong at a higher one is wrong here.
   */
  belief(similarity: number, pooled: Belief): Belief {
    let right = 0;
    let wrong = 0;
    for (const { similarity: seen, isRight } of this.#observations) {
      if (isRight) right += seen <= similarity + margin ? 1 : 0;
      else wrong += seen >= similarity - margin ? 1 : 0;
    }
    const pooledChecks = Math.min(pooledChecksMax, pooled.checks);
    if (right + wrong === 0) return pooled;
    return { error: (wrong + pooled.error * pooledChecks) / (right + wrong + pooledChecks), checks: right + wrong + pooled.checks };
  }
}
