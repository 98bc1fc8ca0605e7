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
  run(options: SuiteOptions): Promise<SuiteMeasurements>;
}

/** What a suite alone can know; the harness adds when, where and with what versions. */
export type SuiteMeasurements = Pick<SuiteReport, 'settings' | 'figures' | 'notes'> & Partial<SuiteReport>;
