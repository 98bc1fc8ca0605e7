import { first, loadOf, type BalancePolicy } from './policy.ts';

/**
 * Where the device has most room for this kind of request, shared among what it has in hand from here: reports are a heartbeat old, and
 * between two of them all would run to the same one. Of equals, in turn and by weight.
 */
export const devices: BalancePolicy = {
  usesDevices: true,
  choose: (candidates) => first(candidates, (a, b) => b.deviceScore / loadOf(b) - a.deviceScore / loadOf(a) || a.pass - b.pass),
};
