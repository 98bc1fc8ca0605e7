import type { EmitEvent, StreamPart } from '@open-autoglm/protocol';

/** States what the last parts of an answer say of it. */
export function stateFacts(parts: readonly StreamPart[], emit: EmitEvent): void {
  for (const part of parts) {
    if (part.type === 'text-end')
      emit({ type: 'choice-end', choice: part.index, finishReason: part.finishReason, completionTokens: part.completionTokens });
    else if (part.type === 'usage' && part.source === 'engine')
      emit({ type: 'prompt-end', choice: 0, promptTokens: part.promptTokens, cachedTokens: part.cachedTokens });
  }
}
