import type { AdmissionOptions } from './admission-stage.ts';
import type { PolicyName } from './policies/index.ts';

/** `admission` in the configuration file. */
export interface AdmissionConfig {
  readonly policy: PolicyName;
  readonly fairness: 'none' | 'vtc';
  readonly max_queue: number;
  readonly max_wait_ms: number;
  readonly aging_ms: number;
  readonly priority_weight: number;
  readonly time_slice_ms: number;
  readonly lanes: { readonly batch_share_min: number };
  readonly concurrency: {
    readonly adaptive: boolean;
    readonly initial: number;
    readonly min: number;
    readonly tolerance: number;
    readonly tolerance_ms: number;
  };
  readonly token_weights: { readonly prompt: number; readonly output: number };
}

export function admissionOptions(config: AdmissionConfig): AdmissionOptions {
  return {
    policy: config.policy,
    fairness: config.fairness,
    agingMs: config.aging_ms,
    waitMsMax: config.max_wait_ms,
    timeSliceMs: config.time_slice_ms,
    priorityWeight: config.priority_weight,
    batchShareMin: config.lanes.batch_share_min,
    tokenWeights: config.token_weights,
    pool: { ...config.concurrency, toleranceMs: config.concurrency.tolerance_ms, queueMax: config.max_queue },
    clock: {
      now: () => performance.now(),
      after: (milliseconds, action) => {
        // A deadline may lie further ahead than a timer can.
        const timer = setTimeout(action, Math.min(milliseconds, timerMsMax));
        return () => clearTimeout(timer);
      },
    },
  };
}

const timerMsMax = 2 ** 31 - 1;
