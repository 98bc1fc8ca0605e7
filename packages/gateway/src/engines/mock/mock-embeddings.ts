import {
  AutoglmError,
  type EmbeddingEngine,
  type EmbeddingModelInfo,
  type EmbeddingRequest,
  type EngineStatus,
} from '@open-autoglm/protocol';

export interface MockEmbeddingsScript {
  readonly model?: Partial<EmbeddingModelInfo>;
  /** Waited for before each answer. Throw to fail there. */
  readonly beforeAnswer?: (request: EmbeddingRequest, signal: AbortSignal) => Promise<void> | void;
  /** Resolves when the model is ready; at once when not given. */
  readonly loaded?: Promise<void>;
}

/** Embeddings without a model, for tests of everything above the port. */
export interface MockEmbeddings extends EmbeddingEngine {
  /** Requests as they came. */
  readonly requests: readonly EmbeddingRequest[];
}

/** A text's tokens are its characters; its vector counts them, so that alike texts have alike vectors. */
export function createMockEmbeddings(script: MockEmbeddingsScript = {}): MockEmbeddings {
  const model: EmbeddingModelInfo = {
    id: 'mock-embeddings',
    source: 'mock',
    architecture: 'mock',
    weightType: 'none',
    weightBytes: 0,
    weightsFingerprint: 'mock',
    parameterCount: 0,
    vocabularySize: 0x11_0000,
    contextLength: 64,
    dimensions: 8,
    pooling: 'mean',
    ...script.model,
  };
  const requests: EmbeddingRequest[] = [];
  const closed = new AbortController();
  let status: EngineStatus = { state: 'starting', detail: 'The mock is loading.' };
  const loaded = (script.loaded ?? Promise.resolve()).then(() => {
    if (status.state === 'starting') status = { state: 'ready', detail: 'The mock is ready.' };
    return model;
  });
  loaded.catch((error: Error) => (status = { state: 'failed', detail: error.message }));
  const whileOpen = async <T>(work: Promise<T>, signal?: AbortSignal): Promise<T> => {
    const until = signal ? AbortSignal.any([signal, closed.signal]) : closed.signal;
    until.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(until.reason);
    until.addEventListener('abort', abort, { once: true });
    return Promise.race([work, aborted.promise]).finally(() => until.removeEventListener('abort', abort));
  };
  return {
    name: model.id,
    requests,
    get status() {
      return status;
    },
    ready: (signal) => whileOpen(loaded, signal),
    async embed(request, signal) {
      await whileOpen(Promise.resolve(), signal);
      requests.push(request);
      const texts = request.inputs.map((input, index) => readInput(request, input, index, model));
      if (request.dimensions !== undefined && request.dimensions !== model.dimensions) {
        throw new AutoglmError('invalid_value', `Invalid value for 'dimensions': the mock makes ${model.dimensions}.`, {
          param: 'dimensions',
        });
      }
      await whileOpen(Promise.resolve(script.beforeAnswer?.(request, signal)), signal);
      return {
        vectors: texts.map((characters) => countCharacters(characters, model.dimensions)),
        promptTokens: texts.reduce((sum, { length }) => sum + length, 0),
        tokenCounts: texts.map(({ length }) => length),
        times: { queueMs: 0, computeMs: 0 },
      };
    },
    async close() {
      status = { state: 'closed', detail: 'The mock is closed.' };
      closed.abort(new AutoglmError('engine_unavailable', 'The engine was closed.'));
    },
  };
}

function readInput(
  { inputs, truncate }: EmbeddingRequest,
  input: string | readonly number[],
  index: number,
  { contextLength }: EmbeddingModelInfo,
): readonly number[] {
  const characters = typeof input === 'string' ? Array.from(input, (character) => character.codePointAt(0) as number) : input;
  if (characters.length <= contextLength || truncate) return characters.slice(0, contextLength);
  const param = inputs.length === 1 ? 'input' : `input[${index}]`;
  throw new AutoglmError('context_length_exceeded', `'${param}' has ${characters.length} tokens, and the mock reads ${contextLength}.`, {
    param,
  });
}

function countCharacters(characters: readonly number[], dimensions: number): Float32Array {
  const vector = new Float32Array(dimensions);
  for (const character of characters) (vector[character % dimensions] as number) += 1;
  const length = Math.hypot(...vector);
  return vector.map((count) => count / length);
}
