/**
 * What a server answers; rejects when it was silent for so long. After a busy time of this process its timers are looked at before its
 * sockets: what has arrived by then is read first, and not taken for silence.
 */
export function answeredWithin<T>(answer: Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => setImmediate(() => reject(new Error(`no answer within ${timeoutMs} ms`))), timeoutMs);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
