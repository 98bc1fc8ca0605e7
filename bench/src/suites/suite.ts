import type { SuiteReport } from '../harness/report.ts';

/** What a suite can be asked for besides what all can. */
export interface SuiteOwnOptions {
  /** Of `parts`; all of them when none were named. */
  readonly parts: ReadonlySet<string>;
  /** By the names of `numbers`. */
  readonly numbers: Readonly<Record<string, number>>;
}

/** `--NAME <number>`, a whole number of at least 1. */
export interface NumberOption {
  readonly name: string;
  readonly description: string;
  readonly default: number;
}

export interface SuiteOptions extends SuiteOwnOptions {
  /** `default`, or a GGUF file. */
  readonly model: string;
  readonly threads: number;
  /** Rounds that count. */
  readonly runs: number;
  /** Called with what is being measured. */
  readonly onProgress: (text: string) => void;
}

export interface Suite {
  readonly name: string;
  readonly description: string;
  /** Rounds that are too long for more of them. */
  readonly runsMax?: number;
  /** It loads no model in the bench's own process: --model and --threads are not among its options. */
  readonly needsNoModel?: true;
  /** Names for `--only`, which measures some of it. */
  readonly parts?: readonly string[];
  readonly numbers?: readonly NumberOption[];
  run(options: SuiteOptions): Promise<SuiteMeasurements>;
}

/** What a suite alone can know; the harness adds when, where and with what versions. */
export type SuiteMeasurements = Pick<SuiteReport, 'settings' | 'figures' | 'notes'> & Partial<Pick<SuiteReport, 'warnings'>>;
