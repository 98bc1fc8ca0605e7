import { wordings, type Wording } from '../rules/wording.ts';
import type { Belief } from './belief.ts';

/** What a check has shown: whether the kept answer was right for another question of this similarity. */
export interface Observation {
  /** Cosine of the two questions. */
  readonly similarity: number;
  readonly isRight: boolean;
}

/** Lower ends of the bands in which observations are counted. */
const edges: readonly number[] = [-1, 0.7, 0.75, 0.8, 0.84, 0.88, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99];
/** Old observations fade, so that what has changed shows: each still counts a third when so many of its band have followed. */
const memory = 1000;
/** Nothing is believed of a band that has, with those below it, fewer checks than this. */
const seenMin = 5;

interface Band {
  right: number;
  wrong: number;
}

/**
 * What all entries' checks have shown together, by wording and similarity: what is believed of an entry that has few of its own.
 * Among questions of one wording those that are more similar are wrong less often. So far down as the share of wrong answers among
 * all above stays under the limit, they can be trusted.
 */
export class Evidence {
  readonly #bands: ReadonlyMap<Wording, Band[]> = new Map(wordings.map((wording) => [wording, edges.map(() => ({ right: 0, wrong: 0 }))]));
  readonly #errorMax: number;

  /** `errorMax`: the share of wrong answers that will be tolerated. */
  constructor(errorMax: number) {
    this.#errorMax = errorMax;
  }

  add(wording: Wording, { similarity, isRight }: Observation): void {
    const band = (this.#bands.get(wording) as Band[])[bandOf(similarity)] as Band;
    band.right *= 1 - 1 / memory;
    band.wrong *= 1 - 1 / memory;
    if (isRight) band.right += 1;
    else band.wrong += 1;
  }

  /**
   * Of its own band, and of all from it upward, whichever is worse. Where those above were seldom checked, the bands below stand in for
   * them: they are wrong more often, so nothing is believed that is too good.
   */
  belief(wording: Wording, similarity: number): Belief {
    const bands = this.#bands.get(wording) as Band[];
    const index = bandOf(similarity);
    const prior = this.#prior(wording);
    if (wording !== 'same-text' && checksOf(bands.slice(0, index + 1)) < seenMin) return { error: 1, checks: 0 };
    let best: Belief = { error: 1, checks: 0 };
    let [checks, wrong] = [checksOf(bands.slice(index + 1)) + prior.checks, wrongOf(bands.slice(index + 1)) + prior.error * prior.checks];
    for (const band of bands.slice(0, index + 1).toReversed()) {
      checks += band.right + band.wrong;
      wrong += band.wrong;
      if (wrong / checks < best.error) best = { error: wrong / checks, checks };
    }
    const own = bands[index] as Band;
    const ownError = (own.wrong + best.error * prior.checks) / (checksOf([own]) + prior.checks);
    return { error: Math.max(best.error, ownError), checks: best.checks };
  }

  /** The lowest similarity that can be trusted, for people; undefined: none. */
  threshold(wording: Wording): number | undefined {
    let lowest: number | undefined;
    for (const edge of edges.toReversed()) {
      if (this.belief(wording, edge).error > this.#errorMax) break;
      lowest = edge;
    }
    return lowest;
  }

  /** Checks that still count, rounded. */
  counts(wording: Wording): { readonly right: number; readonly wrong: number } {
    const bands = this.#bands.get(wording) as Band[];
    return { right: Math.round(checksOf(bands) - wrongOf(bands)), wrong: Math.round(wrongOf(bands)) };
  }

  /**
   * What is believed before any check. Where nothing but capitals, punctuation and articles differs, that it will hardly ever matter.
   * Of anything else, that it is wrong twice as often as will be tolerated: half as many checks as there may be right answers
   * to a wrong one, and all of them right, convince of the contrary.
   */
  #prior(wording: Wording): Belief {
    if (wording === 'same-text') return { error: 0.001, checks: 500 };
    return { error: 2 * this.#errorMax, checks: 0.5 / this.#errorMax };
  }
}

function bandOf(similarity: number): number {
  return Math.max(
    0,
    edges.findLastIndex((edge) => similarity >= edge),
  );
}

function checksOf(bands: readonly Band[]): number {
  return bands.reduce((sum, { right, wrong }) => sum + right + wrong, 0);
}

function wrongOf(bands: readonly Band[]): number {
  return bands.reduce((sum, { wrong }) => sum + wrong, 0);
}
