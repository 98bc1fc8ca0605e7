import type { Classification, ClassificationAnswer, ClassificationEngine, ClassificationRequest } from '@open-autoglm/protocol';
import { inPlaces, promptTokensOf, upstreamTexts, wrongAnswer, type UpstreamTextsOptions } from './upstream-texts.ts';

/** Another server's classifier, as vLLM (`/classify`) and SGLang (`/v1/classify`) have it. */
export function upstreamClassification(options: UpstreamTextsOptions): ClassificationEngine {
  const { name, status } = options;
  return {
    name,
    get status() {
      return status();
    },
    classify: upstreamTexts<ClassificationRequest, ClassificationAnswer>(
      options,
      ({ inputs }) => ({ input: inputs }),
      (body, count) => ({
        classifications: inPlaces(name, 'classes', body['data'], count, (entry: WireClassification) => toClassification(name, entry)),
        promptTokens: promptTokensOf(body),
      }),
    ),
    // The connections are the replica's.
    close: async () => {},
  };
}

interface WireClassification {
  readonly label?: unknown;
  readonly probs?: unknown;
}

function toClassification(name: string, { label, probs }: WireClassification): Classification {
  if (!Array.isArray(probs) || probs.length === 0 || !probs.every(Number.isFinite))
    throw wrongAnswer(name, 'sent probabilities that are none');
  return { label: typeof label === 'string' ? label : null, probs };
}
