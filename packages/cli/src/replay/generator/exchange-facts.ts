/**
 * What the generator's thread tells of a request, in this order: `sent`, `head`, any number of `piece`, and one of the others. `unsent`
 * comes alone.
 *
 *   unsent              it was due, and too many were under way
 *   sent
 *   head                the status, and the content type
 *   piece               of the body
 *   whole               the answer has ended, as HTTP has it
 *   broken              the connection has ended before it
 *   timed-out           the sender has given it up
 *   abandoned           likewise
 */
export const factKinds = ['unsent', 'sent', 'head', 'piece', 'whole', 'broken', 'timed-out', 'abandoned'] as const;
export type FactKind = (typeof factKinds)[number];

/**
 * `id` is the request's place in the order in which they were given to the sender, `atMs` on the replay's clock. `value` is, of `sent`
 * and `unsent`, when it was due; of `head` the status. `bytes` are a piece, and hold only during the call; of `head` the content type,
 * where something failed the reason, in UTF-8. A call with plain values, for an object for each of 20,000 pieces a second would be
 * garbage.
 */
export type TellFact = (kind: FactKind, id: number, atMs: number, value: number, bytes: Uint8Array) => void;

export const noBytes = new Uint8Array(0);
