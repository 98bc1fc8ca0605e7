import { Template } from '@huggingface/jinja';
import { AutoglmError, type ChatMessage, type ModelInfo, type PromptSegment } from '@open-autoglm/protocol';

export type RenderChat = (messages: readonly ChatMessage[]) => PromptSegment[];

/**
 * Makes a model's chat template a function from messages to prompt segments.
 *
 * What a client wrote must never become a control token, and everything else must be cut into tokens as if the whole
 * prompt were one text. So control-token texts inside messages are broken by a mark before rendering; what is still whole
 * afterwards is the template's own and becomes `control` segments; the marks are taken out of the rest.
 */
export function createChatRenderer(model: ModelInfo): RenderChat {
  if (!model.chatTemplate) {
    return () => {
      throw new AutoglmError('unsupported_feature', `The model ${model.source} has no chat template: use /v1/completions.`, { param: 'model' });
    };
  }
  const template = new Template(model.chatTemplate);
  const controlPattern = model.controlTokens.length > 0 ? new RegExp(model.controlTokens.toSorted(longestFirst).map(escape).join('|'), 'gu') : undefined;
  return (messages) => {
    const mark = unusedMark(messages);
    const breakControls = (text: string) => (controlPattern ? text.replace(controlPattern, (found) => insertMark(found, mark)) : text);
    const rendered = render(template, model, messages.map((message) => toTemplateMessage(message, breakControls)));
    return segment(rendered, controlPattern, mark);
  };
}

function render(template: Template, model: ModelInfo, messages: readonly object[]): string {
  try {
    return template.render({
      messages,
      add_generation_prompt: true,
      bos_token: model.bosToken ?? '',
      eos_token: model.eosToken ?? '',
    });
  } catch (error) {
    throw new AutoglmError('invalid_value', `The model's chat template refused the messages: ${(error as Error).message}`, { param: 'messages', cause: error });
  }
}

function segment(rendered: string, controlPattern: RegExp | undefined, mark: string): PromptSegment[] {
  const segments: PromptSegment[] = [];
  const addText = (text: string) => {
    if (text !== '') segments.push({ kind: 'text', text: text.replaceAll(mark, '') });
  };
  let from = 0;
  for (const match of controlPattern ? rendered.matchAll(controlPattern) : []) {
    addText(rendered.slice(from, match.index));
    segments.push({ kind: 'control', text: match[0] });
    from = match.index + match[0].length;
  }
  addText(rendered.slice(from));
  return segments;
}

function toTemplateMessage({ role, content, name, toolCalls, toolCallId }: ChatMessage, breakControls: (text: string) => string): object {
  return {
    role,
    content: breakControls(content),
    ...(name !== undefined && { name: breakControls(name) }),
    ...(toolCallId !== undefined && { tool_call_id: breakControls(toolCallId) }),
    ...(toolCalls && {
      tool_calls: toolCalls.map((call) => ({
        id: call.id,
        type: call.type,
        function: { name: breakControls(call.function.name), arguments: breakControls(call.function.arguments) },
      })),
    }),
  };
}

/** A run of a noncharacter (U+FDD0, never exchanged as text) longer than any in the messages. */
function unusedMark(messages: readonly ChatMessage[]): string {
  let mark = '\uFDD0';
  const text = JSON.stringify(messages);
  while (text.includes(mark)) mark += '\uFDD0';
  return mark;
}

/** After the first character, so that neither half is a control token. */
function insertMark(token: string, mark: string): string {
  const [first = ''] = token;
  return first + mark + token.slice(first.length);
}

function longestFirst(a: string, b: string): number {
  return b.length - a.length;
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/gu, '\\$&');
}
