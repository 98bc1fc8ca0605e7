import { BlockList, isIP, isIPv4 } from 'node:net';

/** Addresses that nobody on the internet has: this machine, its networks, and the services of a cloud about itself. */
const inside = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  inside.addSubnet(network, prefix, 'ipv4');
// Those of version 6, and all ways in which it can carry an address of version 4: mapped, translated, tunnelled.
for (const [network, prefix] of [
  ['::', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  inside.addSubnet(network, prefix, 'ipv6');

/** Whether an IP address is not of the public internet; true for what is no address. */
export function isPrivate(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped) return isPrivate(mapped);
  if (isIP(address) === 0 || /^::ffff:/i.test(address)) return true;
  return inside.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/** Whether a host is on the list: by its name, with its port where that is not the usual one, or as one of `*.example.com`. */
export function isListed({ host }: URL, list: readonly string[]): boolean {
  return list.some(
    (entry) => entry === host || (entry.startsWith('*.') && host.endsWith(entry.slice(1)) && host.length > entry.length - 1),
  );
}
