import { edf } from './edf.ts';
import { fcfs } from './fcfs.ts';
import { mlfq } from './mlfq.ts';
import type { QueuePolicy } from './policy.ts';
import { srtf } from './srtf.ts';
import { vtc } from './vtc.ts';

export type { Place, QueuePolicy, Situation, Waiting } from './policy.ts';

/** By their names in the configuration file. */
export const queuePolicies = { fcfs, mlfq, srtf, edf, vtc } as const satisfies Record<string, QueuePolicy>;

export type PolicyName = keyof typeof queuePolicies;
