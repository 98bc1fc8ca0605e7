import type { EmitEvent } from '@open-autoglm/protocol';

/** Of what is asked on the answer's behalf, its tokens: its engine and its times are not those of the answer. */
export function tokensTo(emit: EmitEvent, model: string): EmitEvent {
  return (event) => {
    if (event.type === 'prompt-end') emit({ type: 'tokens-spent', model, promptTokens: event.promptTokens, completionTokens: 0 });
    else if (event.type === 'choice-end') emit({ type: 'tokens-spent', model, promptTokens: 0, completionTokens: event.completionTokens });
  };
}
