import { sendJson, type Behaviour } from '../upstream/fake-backend.ts';

export const classes = ['short', 'long'] as const;

/** As vLLM classifies: texts of three characters and more are long; one with an exclamation mark is refused. */
export const classifies: Behaviour = (response, { body: asked }) => {
  const inputs = [asked['input']].flat() as string[];
  if (inputs.some((text) => text.includes('!')))
    return sendJson(response, 400, { error: { message: 'no exclamation', type: 'BadRequestError', param: 'input', code: 400 } });
  // In another order than they were asked for.
  const data = inputs
    .map((text, index) => ({
      index,
      label: classes[Number(text.length > 2)],
      probs: text.length > 2 ? [0.25, 0.75] : [0.9, 0.1],
      num_classes: 2,
    }))
    .toReversed();
  const tokens = inputs.join('').length;
  sendJson(response, 200, {
    id: 'classify-1',
    object: 'list',
    created: 1,
    model: asked.model,
    data,
    usage: { prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0, prompt_tokens_details: null },
  });
};
