import type { Stage } from '@open-autoglm/protocol';
import type { CascadeOptions } from './cascade-options.ts';
import { answerByTiers } from './tiered-answer.ts';

/**
 * The cascade: a name that stands for several models of growing size. Who asks for a model by its own name is not held up. It stands above
 * the stages that look at the model, so that each tier is asked as if the client had asked for it.
 */
export function createTiersStage(options: CascadeOptions): Stage {
  /** Models whose servers refuse to tell their tokens' probabilities; at most one for each level. */
  const withoutLogprobs = new Set<string>();
  return (request, next) => (request.model === options.model ? answerByTiers({ options, withoutLogprobs, request, next }) : next(request));
}
