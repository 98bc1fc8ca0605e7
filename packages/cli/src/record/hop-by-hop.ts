/** Headers of one connection, not of the message (RFC 9110, 7.6.1; RFC 9112); a proxy makes its own. */
const ownHeaders = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Names and values in turn, as Node has them, without those that end at this hop and those named by `connection`. */
export function passedOn(rawHeaders: readonly string[], alsoWithout: readonly string[] = []): string[] {
  const pairs = Array.from(
    { length: rawHeaders.length / 2 },
    (_, index) => [rawHeaders[index * 2] as string, rawHeaders[index * 2 + 1] as string] as const,
  );
  const named = pairs
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map((token) => token.trim().toLowerCase()));
  const dropped = new Set([...ownHeaders, ...named, ...alsoWithout]);
  return pairs.filter(([name]) => !dropped.has(name.toLowerCase())).flat();
}
