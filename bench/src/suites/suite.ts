import type { SuiteReport } from '../harness/report.ts';

export interface SuiteOptions {
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
  run(options: SuiteOptions): Promise<SuiteMeasurements>;
}

/** What a suite alone can know; the harness adds when, where and with what versions. */
export type SuiteMeasurements = Pick<SuiteReport, 'settings' | 'figures' | 'notes'> & Partial<Pick<SuiteReport, 'warnings'>>;
