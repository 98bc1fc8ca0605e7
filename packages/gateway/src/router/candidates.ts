import { AutoglmError } from '@open-autoglm/protocol';
import type { Member } from './member.ts';

/** Of those that suit, the ones that are well; where none is, those that may be tried all the same. */
export function candidatesOf(members: readonly Member[], suits: (member: Member) => boolean, nowMs: number, panics: boolean): Member[] {
  const possible: Member[] = [];
  const well: Member[] = [];
  for (const member of members) {
    if (!suits(member) || !member.mayTake(nowMs)) continue;
    possible.push(member);
    if (member.isWell(nowMs)) well.push(member);
  }
  if (well.length > 0) return well;
  return possible.length > 0 || !panics || !isPanic(members) ? possible : members.filter((member) => suits(member) && member.isThere());
}

/** Why nobody could be chosen, before any was tried. */
export function refusalOf(model: string, members: readonly Member[], nowMs: number): AutoglmError {
  const isFull = members.some(({ breaker, outstanding, target }) => breaker.state === 'closed' && outstanding >= target.maxOutstanding);
  if (isFull)
    return new AutoglmError('queue_full', `Every engine of the model ${JSON.stringify(model)} has all the requests that it takes.`, {
      retryAfterSeconds: 1,
    });
  const soonestMs = Math.min(...members.map(({ breaker }) => (breaker.state === 'closed' ? nowMs : breaker.untilMs)));
  return new AutoglmError('engine_unavailable', `No engine of the model ${JSON.stringify(model)} can be reached at present.`, {
    retryAfterSeconds: Math.max(1, Math.ceil((soonestMs - nowMs) / 1000)),
  });
}

/**
 * Nobody is left whose breaker is closed (Envoy's panic threshold, at its end): that all are broken at once is less likely than that
 * something passed by which broke them all, and the first answer closes a breaker. A lone replica has nobody to be compared with, and
 * rests.
 */
function isPanic(members: readonly Member[]): boolean {
  return members.length > 1 && members.every(({ breaker }) => breaker.state !== 'closed');
}
