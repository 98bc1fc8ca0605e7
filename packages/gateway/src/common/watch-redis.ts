import type { Redis } from 'ioredis';
import { wordsOf } from './words-of-error.ts';

/** Told once why Redis cannot be reached, and (undefined) once that it is there again. */
export type OnRedis = (problem: string | undefined) => void;

export function watchRedis(redis: Redis, onRedis: OnRedis = () => {}): void {
  let isAway = false;
  // Every command says so itself; an error that nobody listens to would end the process.
  redis.on('error', (error: Error) => {
    if (isAway) return;
    isAway = true;
    onRedis(wordsOf(error));
  });
  redis.on('ready', () => {
    if (isAway) onRedis(undefined);
    isAway = false;
  });
}
