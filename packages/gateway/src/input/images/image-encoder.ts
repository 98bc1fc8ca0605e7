import { AutoglmError } from '@open-autoglm/protocol';
import type { InputSteps } from '../../common/steps/input-steps.ts';
import { WorkStep } from '../../common/steps/work-step.ts';
import { ByteLru } from './byte-lru.ts';
import type { EncodedImage, ImageFormat, ImageTask } from './image-worker.ts';

export interface ImageEncoding {
  readonly pixelsMax: number;
  readonly decodedPixelsMax: number;
  readonly format: ImageFormat;
  readonly quality: number;
}

/** What an image became. */
export interface PreparedImage {
  /** A data URL; undefined: it stays as it was. */
  readonly url: string | undefined;
  readonly bytes: number;
  readonly width: number;
  readonly height: number;
}

const workerFile = new URL(import.meta.url.endsWith('.ts') ? './image-worker.ts' : './image-worker.js', import.meta.url);
/** Of an entry of the cache, beside its text. */
const entryBytes = 256;
const never = new AbortController().signal;

/**
 * Scales and encodes images in threads. A screenshot that was seen before, by whomever, is recognised by its bytes and not encoded again;
 * several who bring the same one at once share the work. What a client gets depends only on what it sent.
 */
export class ImageEncoder {
  readonly #known: ByteLru<PreparedImage>;
  readonly #underWay = new Map<string, Promise<PreparedImage>>();
  readonly #step: WorkStep<ImageTask, string | EncodedImage>;

  constructor({ pool, meters, waitingMax }: InputSteps, cacheBytesMax: number) {
    this.#known = new ByteLru(cacheBytesMax);
    this.#step = new WorkStep({
      slots: pool.threads,
      waitingMax,
      meters,
      what: 'images',
      batchSize: () => 1,
      work: async ([task]) => [
        { value: await pool.run<string | EncodedImage>(workerFile, task), bytes: (task as ImageTask).bytes.byteLength },
      ],
    });
  }

  /** Of what is kept. */
  get cachedBytes(): number {
    return this.#known.bytes;
  }

  /** Rejects with `payload_too_large` for too many pixels, `invalid_value` for what is no image, `queue_full`, or the signal's reason. */
  async prepare(bytes: SharedArrayBuffer, encoding: ImageEncoding, param: string, signal: AbortSignal): Promise<PreparedImage> {
    const digest = (await this.#step.run({ kind: 'hash', bytes }, signal)) as string;
    const key = [digest, encoding.pixelsMax, encoding.format, encoding.quality].join();
    const known = this.#known.get(key);
    if (known) return known;
    const work = this.#underWay.get(key) ?? this.#encode(key, bytes, encoding);
    return unlessAborted(work, signal).catch((error: unknown) => Promise.reject(named(error, param)));
  }

  /** On nobody's signal: others may have come to wait for it. It is bounded by the images that may wait and by the pixels of one. */
  #encode(key: string, bytes: SharedArrayBuffer, encoding: ImageEncoding): Promise<PreparedImage> {
    const work = this.#step
      .run({ kind: 'encode', bytes, ...encoding }, never)
      .then((result) => {
        const encoded = result as EncodedImage;
        if ('problem' in encoded) throw new ImageProblem(encoded.problem, encoded.reason, encoding.decodedPixelsMax);
        this.#known.set(key, encoded, (encoded.url?.length ?? 0) + entryBytes);
        return encoded;
      })
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, work);
    return work;
  }
}

class ImageProblem extends Error {
  readonly problem: 'pixels' | 'broken';
  readonly pixelsMax: number;

  constructor(problem: 'pixels' | 'broken', reason: string, pixelsMax: number) {
    super(reason);
    this.problem = problem;
    this.pixelsMax = pixelsMax;
  }
}

/** The same problem of those who share an image, each with the name of their own field. */
function named(error: unknown, param: string): unknown {
  if (!(error instanceof ImageProblem)) return error;
  if (error.problem === 'pixels')
    return new AutoglmError(
      'payload_too_large',
      `The image in '${param}' has more than the ${error.pixelsMax} pixels that this server decodes (input.images.decoded_pixels_max).`,
      { param },
    );
  return new AutoglmError(
    'invalid_value',
    `Invalid value for '${param}': it is no JPEG, PNG, WebP or GIF image that can be read: ${error.message}.`,
    { param },
  );
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
