import type { Content, RequestInput } from '@open-autoglm/protocol';

/** Characters of prompts, and again of answers, that are recorded for one request where that was asked for. */
export const contentLengthMax = 16 * 1024;
/** Messages of one request, the first ones. */
const messagesMax = 128;

/** What was asked and answered, cut to `contentLengthMax` each; what does not fit is not in it. */
export function boundedContent(input: RequestInput, answers: readonly string[]): Content {
  const forInput = createBudget();
  const forAnswers = createBudget();
  return {
    input: textsOf(input).flatMap(({ role, text }) => {
      const taken = forInput(text);
      return taken === undefined ? [] : [{ role, text: taken }];
    }),
    answers: answers.flatMap((text) => forAnswers(text) ?? []),
  };
}

function textsOf(input: RequestInput): Content['input'] {
  if (input.kind === 'chat') return input.messages.slice(0, messagesMax).map(({ role, content }) => ({ role, text: content }));
  return input.prompts
    .slice(0, messagesMax)
    .map((prompt) => ({ role: 'user', text: typeof prompt === 'string' ? prompt : `[${prompt.length} token ids]` }));
}

/** Takes texts until their room is used up. Undefined: there is no room at all, or the text is empty. */
function createBudget(): (text: string) => string | undefined {
  let left = contentLengthMax;
  return (text) => {
    if (left === 0 || text === '') return undefined;
    const taken = text.length > left ? `${text.slice(0, left)}…` : text;
    left -= Math.min(left, text.length);
    return taken;
  };
}
