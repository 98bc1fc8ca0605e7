import { Template } from '@huggingface/jinja';
import { AutoglmError, type ChatMessage, type ModelInfo, type PromptSegment, type Tool } from '@open-autoglm/protocol';
import { isNestedTooDeeply } from '../common/nesting.ts';
import { knowsTools, toWireTool, withToolsInText } from './tool-format.ts';

export type RenderChat = (messages: readonly ChatMessage[], tools?: readonly Tool[]) => PromptSegment[];

/**
 * Makes a model's chat template a function from messages to prompt segments.
 *
 * What a client wrote must never become a control token, and everything else must be cut into tokens as if the whole
 * prompt were one text. So control-token texts inside messages are broken by a mark before rendering; what is still whole
 * afterwards is the template's own and becomes `control` segments; the marks are taken out of the rest. The mark is an
 * escape, not a text that the messages happen to lack, so that no message can make it long: time and memory are linear.
 */
export function createChatRenderer(model: ModelInfo): RenderChat {
  if (!model.chatTemplate) {
    return () => {
      throw new AutoglmError('unsupported_feature', `The model ${model.source} has no chat template: use /v1/completions.`, {
        param: 'model',
      });
    };
  }
  const template = compile(model.chatTemplate);
  const controls = controlAlternatives(model);
  const control = controls === undefined ? undefined : new RegExp(controls, 'gu');
  // At every place where one begins, for they may overlap.
  const controlStart = controls === undefined ? undefined : new RegExp(`(?=${controls})(.)`, 'gsu');
  const breakBeginnings = createBeginningsBreaker(model);
  const breakControls = (text: string) => {
    const escaped = text.replaceAll(escapeMark, escapedMark);
    return controlStart ? breakBeginnings(escaped.replace(controlStart, `$1${breakMark}`)) : escaped;
  };
  const hasTools = knowsTools(model.chatTemplate);
  return (messages, tools = []) => {
    const shown = hasTools ? messages : withToolsInText(messages, tools);
    const templateTools = hasTools && tools.length > 0 ? tools.map((tool) => breakAll(toWireTool(tool), breakControls)) : undefined;
    return segment(
      render(
        template,
        model,
        shown.map((message) => toTemplateMessage(message, breakControls)),
        templateTools,
      ),
      control,
    );
  };
}

/** U+FDD0 … U+FDD2 are noncharacters, never exchanged as text; where a client sends them all the same, they are kept. */
const escapeMark = '\uFDD0';
const escapedMark = '\uFDD0\uFDD1';
const breakMark = '\uFDD0\uFDD2';

function withoutMarks(text: string): string {
  return text.replaceAll(breakMark, '').replaceAll(escapedMark, escapeMark);
}

function compile(source: string): Template {
  try {
    return new Template(source);
  } catch (error) {
    throw new AutoglmError(
      'unsupported_feature',
      `The model's chat template cannot be read (${(error as Error).message}): use /v1/completions.`,
      { param: 'model', cause: error },
    );
  }
}

/** A regular expression for any control token. */
function controlAlternatives(model: ModelInfo): string | undefined {
  const tokens = breakable(model).toSorted(longestFirst);
  return tokens.length > 0 ? tokens.map(escape).join('|') : undefined;
}

/** One of a single character could not be broken, so it is never control. */
function breakable({ controlTokens }: ModelInfo): string[] {
  return controlTokens.filter((token) => [...token].length > 1);
}

/** Breaks control tokens that a text ends amid: a template may put it before another text, which goes on with them. */
function createBeginningsBreaker(model: ModelInfo): (text: string) => string {
  const beginnings = new Set(
    breakable(model).flatMap((token) => Array.from({ length: token.length - 1 }, (_, index) => token.slice(0, index + 1))),
  );
  const lengthMax = Math.max(0, ...Array.from(beginnings, ({ length }) => length));
  return (text) => {
    let broken = text;
    for (let start = text.length - 1; start >= 0 && start >= text.length - lengthMax; start -= 1) {
      if (!beginnings.has(text.slice(start))) continue;
      const at = start + ((text.codePointAt(start) as number) > 0xffff ? 2 : 1);
      broken = broken.slice(0, at) + breakMark + broken.slice(at);
    }
    return broken;
  };
}

function render(template: Template, model: ModelInfo, messages: readonly object[], tools: readonly unknown[] | undefined): string {
  try {
    return template.render({
      messages,
      ...(tools && { tools }),
      add_generation_prompt: true,
      bos_token: model.bosToken ?? '',
      eos_token: model.eosToken ?? '',
    });
  } catch (error) {
    throw new AutoglmError('invalid_value', `The model's chat template refused the messages: ${(error as Error).message}`, {
      param: 'messages',
      cause: error,
    });
  }
}

function segment(rendered: string, control: RegExp | undefined): PromptSegment[] {
  const segments: PromptSegment[] = [];
  const addText = (text: string) => {
    if (text !== '') segments.push({ kind: 'text', text: withoutMarks(text) });
  };
  let from = 0;
  for (const match of control ? rendered.matchAll(control) : []) {
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
        id: breakControls(call.id),
        type: call.type,
        function: { name: breakControls(call.function.name), arguments: toTemplateArguments(call.function.arguments, breakControls) },
      })),
    }),
  };
}

/**
 * Templates write arguments as JSON themselves; what is none, or too deep for them, stays the text that it is. Broken after reading:
 * JSON can write a control token so that only its reader sees it.
 */
function toTemplateArguments(text: string, breakControls: (text: string) => string): unknown {
  if (isNestedTooDeeply(text)) return breakControls(text);
  try {
    return breakAll(JSON.parse(text), breakControls);
  } catch {
    return breakControls(text);
  }
}

/** Breaks the control tokens in every text of a value of JSON. */
function breakAll(value: unknown, breakControls: (text: string) => string): unknown {
  if (typeof value === 'string') return breakControls(value);
  if (Array.isArray(value)) return value.map((item) => breakAll(item, breakControls));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [breakControls(key), breakAll(child, breakControls)]));
}

function longestFirst(a: string, b: string): number {
  return b.length - a.length;
}

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/gu, '\\$&');
}
