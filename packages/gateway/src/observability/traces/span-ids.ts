import { randomFillSync } from 'node:crypto';
import type { IdGenerator } from '@opentelemetry/sdk-trace';

const poolBytes = 4096;
const traceIdDigits = 32;
const spanIdDigits = 16;

interface Ids {
  readonly traceId: string;
  readonly spanId: string;
}

/**
 * Ids of traces and spans, in hexadecimal: random ones, or those that a span was promised. Random bytes are asked for many at a time: for
 * each request alone they cost several times as much. All zeros, which is no id, comes once in 2^64.
 */
export class SpanIds implements IdGenerator {
  readonly #bytes = Buffer.allocUnsafeSlow(poolBytes);
  #digits = '';
  #used = 0;
  #promised: Ids | undefined;

  /** The span that `make` begins has these. */
  giving<Made>(promised: Ids, make: () => Made): Made {
    this.#promised = promised;
    try {
      return make();
    } finally {
      this.#promised = undefined;
    }
  }

  generateTraceId(): string {
    return this.#promised?.traceId ?? this.#take(traceIdDigits);
  }

  generateSpanId(): string {
    return this.#promised?.spanId ?? this.#take(spanIdDigits);
  }

  #take(count: number): string {
    if (this.#used + count > this.#digits.length) {
      this.#digits = randomFillSync(this.#bytes).toString('hex');
      this.#used = 0;
    }
    this.#used += count;
    return this.#digits.slice(this.#used - count, this.#used);
  }
}
