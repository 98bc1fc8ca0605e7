import { readFileSync } from 'node:fs';
import type { Random } from '@open-autoglm/statistics';

export type Lane = 'realtime' | 'batch';

/** A request and when it is due. */
export interface Due {
  readonly atMs: number;
  readonly lane: Lane;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export interface ScheduleOptions {
  /** JSON Lines with `t` in seconds, `prompt_tokens`, `output_tokens`. */
  readonly trace: string;
  /** Requests a second, on average. */
  readonly rate: number;
  readonly seconds: number;
  /** The rest is of the batch lane. */
  readonly realtimeShare: number;
  /** Requests of the batch lane that are there at the beginning. */
  readonly backlog: number;
  readonly promptScale: number;
  readonly outputScale: number;
  readonly random: Random;
}

interface TraceLine {
  readonly t: number;
  readonly prompt_tokens: number;
  readonly output_tokens: number;
}

const promptMax = 900;

/** The first requests of a trace in its own bursts, each in a lane by chance, behind a backlog of its next ones. */
export function makeSchedule({ trace, rate, seconds, realtimeShare, backlog, promptScale, outputScale, random }: ScheduleOptions): Due[] {
  const count = Math.max(2, Math.round(rate * seconds));
  const lines = readFileSync(trace, 'utf8')
    .split('\n', count + backlog)
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TraceLine);
  const requests = lines.slice(0, count);
  const begin = requests[0]?.t ?? 0;
  const scale = (seconds * 1000) / Math.max(0.001, (requests.at(-1)?.t ?? 0) - begin);
  const due = (line: TraceLine, atMs: number, lane: Lane): Due => ({
    atMs,
    lane,
    promptTokens: Math.min(promptMax, Math.max(1, Math.round(line.prompt_tokens * promptScale))),
    outputTokens: Math.max(1, Math.round(line.output_tokens * outputScale)),
  });
  return [
    ...lines.slice(count).map((line) => due(line, 0, 'batch')),
    ...requests.map((line) => due(line, (line.t - begin) * scale, random() < realtimeShare ? 'realtime' : 'batch')),
  ];
}
