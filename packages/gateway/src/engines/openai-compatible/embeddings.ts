import { AutoglmError, type EmbeddingAnswer, type EmbeddingEngine, type EmbeddingRequest, type EngineStatus } from '@open-autoglm/protocol';
import type { Dispatcher } from 'undici';
import { errorOfConnection, errorOfStatus } from './errors.ts';

export interface UpstreamEmbeddingsOptions {
  readonly name: string;
  readonly dispatcher: Dispatcher;
  /** Of the route. */
  readonly path: string;
  readonly headers: readonly string[];
  /** Its name there. */
  readonly model: string;
  /** Of the server, which somebody else watches and closes. */
  readonly status: () => EngineStatus;
  readonly onOutcome: (error: AutoglmError | undefined) => void;
}

/** 2,048 vectors of 4,096 elements, written with many digits. */
const answerBytesMax = 256 * 1024 * 1024;

/** Another server's `/v1/embeddings`: the client's own words go there, and its vectors come back. */
export function upstreamEmbeddings({ name, dispatcher, path, headers, model, status, onOutcome }: UpstreamEmbeddingsOptions): EmbeddingEngine {
  const ask = async ({ id, inputs, dimensions, fields, traceContext }: EmbeddingRequest, signal: AbortSignal): Promise<EmbeddingAnswer> => {
    const body = JSON.stringify({ ...(fields ?? { input: inputs, dimensions }), model });
    const response = await dispatcher.request({ path, method: 'POST', headers: [...headers, 'x-request-id', id, ...Object.entries(traceContext?.() ?? {}).flat()], body, signal });
    const text = await readBounded(name, response.body);
    const retryAfter = response.headers['retry-after'];
    if (response.statusCode !== 200) throw errorOfStatus(name, response.statusCode, text, typeof retryAfter === 'string' ? retryAfter : undefined);
    return readAnswer(name, text, inputs.length);
  };
  return {
    name,
    get status() {
      return status();
    },
    async ready(signal) {
      signal?.throwIfAborted();
      return undefined;
    },
    async embed(request, signal) {
      signal.throwIfAborted();
      if (status().state === 'closed') throw new AutoglmError('engine_unavailable', `The engine ${name} was closed.`);
      if (request.truncate) throw new AutoglmError('unsupported_feature', `'autoglm.truncate' is not available for the engine ${name}: use the field that its server has for it.`, { param: 'autoglm.truncate' });
      try {
        const answer = await ask(request, signal);
        onOutcome(undefined);
        return answer;
      } catch (thrown) {
        if (signal.aborted) throw signal.reason;
        const error = errorOfConnection(name, thrown as Error);
        onOutcome(error);
        throw error;
      }
    },
    // The connections are the replica's.
    close: async () => {},
  };
}

async function readBounded(name: string, body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > answerBytesMax) throw wrong(name, `sent more than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

interface WireEmbeddings {
  readonly data?: readonly { readonly index?: number; readonly embedding?: unknown }[];
  readonly usage?: { readonly prompt_tokens?: number; readonly total_tokens?: number } | null;
}

function readAnswer(name: string, text: string, count: number): EmbeddingAnswer {
  const { data, usage } = parse(name, text);
  if (!Array.isArray(data) || data.length !== count) throw wrong(name, `did not answer with ${count} embeddings`);
  const vectors: Float32Array[] = [];
  for (const [place, { index = place, embedding }] of (data as NonNullable<WireEmbeddings['data']>).entries()) vectors[index] = toVector(name, embedding);
  // Each place once: `every` would pass over a hole.
  if (vectors.length !== count || vectors.includes(undefined as never)) throw wrong(name, 'numbered its embeddings wrongly');
  return { vectors, promptTokens: usage?.prompt_tokens ?? usage?.total_tokens ?? 0 };
}

function parse(name: string, text: string): WireEmbeddings {
  try {
    return (JSON.parse(text) as WireEmbeddings | null) ?? {};
  } catch (cause) {
    throw wrong(name, 'did not answer with JSON', cause);
  }
}

/** Numbers, or base64 of little-endian float32. */
function toVector(name: string, embedding: unknown): Float32Array {
  if (Array.isArray(embedding) && embedding.every((value) => typeof value === 'number')) return Float32Array.from(embedding);
  if (typeof embedding !== 'string') throw wrong(name, 'sent an embedding that is none');
  // Copied, because the bytes of a Buffer need not be aligned.
  const bytes = Uint8Array.from(Buffer.from(embedding, 'base64'));
  if (bytes.length === 0 || bytes.length % 4 !== 0) throw wrong(name, 'sent an embedding that is none');
  return new Float32Array(bytes.buffer);
}

function wrong(name: string, what: string, cause?: unknown): AutoglmError {
  return new AutoglmError('upstream_error', `The engine ${name} ${what}.`, { cause });
}
