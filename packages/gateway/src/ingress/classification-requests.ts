import type { ClassificationPath, ClassifiedTexts } from '../common/classification-call.ts';
import type { ClassificationCatalog } from '../common/classification-catalog.ts';
import { newId } from '../common/new-id.ts';
import type { TextsExchange } from '../common/texts-exchange.ts';
import type { InHand } from './in-hand.ts';
import { TextsRequests, type TextsParts } from './serve-texts.ts';
import { parseClassification, type ParsedClassification } from './to-classification-request.ts';

export interface ClassificationParts extends TextsParts {
  readonly classifiers: ClassificationCatalog;
  readonly classificationPath: ClassificationPath;
  readonly respondClassifications: (exchange: TextsExchange<ParsedClassification>, answer: Promise<ClassifiedTexts>) => Promise<void>;
}

/** `POST /v1/classify`. */
export class ClassificationRequests extends TextsRequests<ParsedClassification, ClassifiedTexts> {
  constructor(parts: ClassificationParts, inHand: InHand) {
    super(parts, inHand, {
      name: 'classification',
      parse: (body, headers) => parseClassification(body, headers, parts.classifiers.has((body as { model?: unknown } | null)?.model)),
      textsOf: ({ labels = [], inputs }) => [...labels, ...inputs],
      ask({
        parsed: { model, tenant, cache, inputs, labels, temperature, truncate, lane, fields },
        requestId,
        signal,
        emit,
        traceContext,
      }) {
        return parts.classificationPath({
          model,
          tenant,
          cache,
          labels,
          temperature,
          truncate,
          request: { id: `classify-${newId()}`, requestId, inputs, lane, fields, traceContext },
          signal,
          emit,
        });
      },
      respond: parts.respondClassifications,
    });
  }
}
