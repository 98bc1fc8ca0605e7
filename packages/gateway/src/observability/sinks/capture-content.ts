import type { GatewayRequest, Next, StreamPart } from '@open-autoglm/protocol';
import { boundedContent, contentLengthMax } from './bounded-content.ts';

/** Choices of one request whose text is kept; each may be as long as all of them together will be. */
const choicesMax = 16;

/**
 * States what was asked and answered as an event, when the answer ends in whatever way. In front of the path only where the
 * configuration asks for it: without this, no event holds a word of a prompt or an answer.
 */
export function captureContent(path: Next): Next {
  return (request) => withContent(request, path);
}

async function* withContent(request: GatewayRequest, path: Next): AsyncGenerator<StreamPart> {
  const answers: string[] = [];
  try {
    for await (const part of path(request)) {
      if (part.type === 'text-delta' && part.index < choicesMax) {
        const before = answers[part.index] ?? '';
        if (before.length < contentLengthMax) answers[part.index] = before + part.text;
      }
      yield part;
    }
  } finally {
    request.emit({
      type: 'content',
      ...boundedContent(
        request.input,
        Array.from(answers, (text) => text ?? ''),
      ),
    });
  }
}
