import { AutoglmError, type Classification } from '@open-autoglm/protocol';
import type { ClassificationCall, ClassifiedTexts } from './common/classification-call.ts';
import type { EmbeddingPath } from './common/embedding-call.ts';
import { dot, unitVector } from './common/unit-vector.ts';

/**
 * Cosines of texts with labels lie close together: at 1 all classes would be about as probable. With this, confidence was near accuracy on
 * the two sets that were tried.
 */
const temperatureDefault = 0.05;

/**
 * Classes that are named in words, by a model that was trained for none of them: a text is as probably of a class as its embedding is
 * like that of the class's label, `softmax(cosine ⁄ temperature)`. The order of the classes does not depend on the temperature; what
 * the probabilities are worth does, and for other texts nobody has calibrated them. Labels and texts are asked for together, so that
 * known labels (`cache.intermediate`) cost nothing.
 */
export async function classifyByLabels(
  {
    model,
    tenant,
    cache,
    request,
    labels,
    temperature = temperatureDefault,
    truncate,
    signal,
    emit,
  }: ClassificationCall & { readonly labels: readonly string[] },
  embed: EmbeddingPath,
): Promise<ClassifiedTexts> {
  const { id, requestId, inputs, lane, traceContext } = request;
  const asked = { id, requestId, inputs: [...labels, ...inputs], lane, truncate, traceContext };
  const { vectors, promptTokens, isKept } = await embed({ model, tenant, cache, request: asked, signal, emit }).catch((error: unknown) => {
    throw inOwnWords(error, labels.length, inputs.length);
  });
  const units = toUnits(model, vectors);
  const ofLabels = units.slice(0, labels.length);
  const classifications = units.slice(labels.length).map((text) => classify(text, ofLabels, labels, temperature));
  return { classifications, promptTokens, zeroShot: { temperature }, isKept };
}

function classify(text: Float32Array, ofLabels: readonly Float32Array[], labels: readonly string[], temperature: number): Classification {
  const likeness = ofLabels.map((label) => dot(text, label));
  const best = likeness.indexOf(Math.max(...likeness));
  const weights = likeness.map((cosine) => Math.exp((cosine - (likeness[best] as number)) / temperature));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return { label: labels[best] ?? null, probs: weights.map((weight) => weight / sum) };
}

/** Another server's vectors need not be of length 1, nor be any that can be compared. */
function toUnits(model: string, vectors: readonly Float32Array[]): readonly Float32Array[] {
  return vectors.map((vector) => {
    const unit = vector.length === vectors[0]?.length ? unitVector(vector) : undefined;
    if (!unit)
      throw new AutoglmError(
        'upstream_error',
        `The model ${JSON.stringify(model)} made embeddings that cannot be compared: of different lengths, or without a direction.`,
      );
    return unit;
  });
}

/** The engine counts labels and texts as one list: the client shall read of its own. */
function inOwnWords(error: unknown, labelCount: number, textCount: number): unknown {
  if (!(error instanceof AutoglmError)) return error;
  const [, place] = /^input\[(\d+)\]/.exec(error.param ?? '') ?? [];
  if (place === undefined) return error;
  const at = Number(place) - labelCount;
  const param = at < 0 ? `labels[${place}]` : textCount === 1 ? 'input' : `input[${at}]`;
  return new AutoglmError(error.code, error.message.replaceAll(`'input[${place}]'`, `'${param}'`), { param, cause: error.cause });
}
