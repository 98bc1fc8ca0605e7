import { AutoglmError } from '@open-autoglm/protocol';
import type { CpuPool } from '../../common/steps/cpu-pool.ts';
import type { InputSteps } from '../../common/steps/input-steps.ts';
import type { StepMeters } from '../../common/steps/step-meter.ts';
import { WorkStep, type WorkResult } from '../../common/steps/work-step.ts';
import type { ContentEncoding, Inflated, InflateTask } from './inflate-worker.ts';

export type { ContentEncoding } from './inflate-worker.ts';

export const encodings: readonly string[] = ['gzip', 'deflate', 'br', 'zstd'] satisfies ContentEncoding[];

export interface InflaterOptions {
  readonly pool: CpuPool;
  readonly meters: Pick<StepMeters, 'buffer' | 'preprocess'>;
  readonly waitingMax: number;
  /** Of a body when it is unpacked. */
  readonly bytesMax: number;
}

/** A packed body. */
interface Packed {
  readonly encoding: ContentEncoding;
  readonly bytes: Uint8Array;
}

/** Bodies of at most so many packed bytes cross to a thread together, so many at once. One that unpacks to more is unpacked again alone. */
const smallBytesMax = 16 * 1024;
const batchMax = 16;
const smallInflatedBytesMax = 1024 * 1024;

const workerFile = new URL(import.meta.url.endsWith('.ts') ? './inflate-worker.ts' : './inflate-worker.js', import.meta.url);

/** An inflater that shares the threads and the bounds of all that is prepared. */
export function createInflater({ pool, meters, waitingMax }: InputSteps, bytesMax: number): Inflater {
  return new Inflater({ pool, meters, waitingMax, bytesMax });
}

/** Unpacks bodies in threads: small ones several at a time, and none to more than the bound. */
export class Inflater {
  readonly #pool: CpuPool;
  readonly #bytesMax: number;
  readonly #step: WorkStep<Packed, Uint8Array>;

  constructor({ pool, meters, waitingMax, bytesMax }: InflaterOptions) {
    this.#pool = pool;
    this.#bytesMax = bytesMax;
    this.#step = new WorkStep({
      slots: pool.threads,
      waitingMax,
      meters,
      what: 'packed bodies',
      batchSize,
      work: (bodies) => this.#work(bodies),
    });
  }

  /** Rejects with `payload_too_large`, `invalid_value` for what is not packed so, `queue_full`, or the signal's reason. */
  inflate(encoding: ContentEncoding, bytes: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    return this.#step.run({ encoding, bytes }, signal);
  }

  async #work(bodies: readonly Packed[]): Promise<readonly WorkResult<Uint8Array>[]> {
    const bytesMax = bodies.length > 1 ? Math.min(smallInflatedBytesMax, this.#bytesMax) : this.#bytesMax;
    const results = await this.#inThread(bodies, bytesMax);
    const settled: WorkResult<Uint8Array>[] = [];
    for (const [index, result] of results.entries()) {
      const body = bodies[index] as Packed;
      const isCut = 'problem' in result && result.problem === 'larger' && bytesMax < this.#bytesMax;
      settled.push(this.#resultOf(isCut ? ((await this.#inThread([body], this.#bytesMax))[0] as Inflated) : result, body.encoding));
    }
    return settled;
  }

  #inThread(bodies: readonly Packed[], bytesMax: number): Promise<readonly Inflated[]> {
    return this.#pool.run(workerFile, { bodies, bytesMax } satisfies InflateTask);
  }

  #resultOf(result: Inflated, encoding: ContentEncoding): WorkResult<Uint8Array> {
    if ('bytes' in result) return { value: result.bytes, bytes: result.bytes.length };
    if (result.problem === 'larger')
      return {
        error: new AutoglmError(
          'payload_too_large',
          `The body is larger than the ${this.#bytesMax} bytes that this server takes (server.body_limit_bytes) when it is unpacked.`,
        ),
      };
    return { error: new AutoglmError('invalid_value', `The body is not valid ${encoding}: ${result.reason}.`) };
  }
}

function batchSize(waiting: readonly Packed[]): number {
  const large = waiting.findIndex(({ bytes }) => bytes.length > smallBytesMax);
  return Math.min(batchMax, large === -1 ? waiting.length : large);
}
