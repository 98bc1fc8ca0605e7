import type { IncomingHttpHeaders } from 'node:http';
import type { ChatMessage } from '@open-autoglm/protocol';
import { refuseContextOptions } from './context-options.ts';
import { remoteChatSchema, remoteCompletionSchema } from './schemas.ts';
import { chatLimits, checkObject, common, completionInput, format, withBody, type ParsedRequest } from './to-request.ts';
import { createValidator } from './validate.ts';

const validateChat = createValidator(remoteChatSchema);
const validateCompletion = createValidator(remoteCompletionSchema);

/** A chat that another server answers. Tools, images and fields of that server alone go there as they are; stages see the text. */
export function parseRemoteChat(body: unknown, headers: IncomingHttpHeaders): ParsedRequest {
  const checked = validateChat(checkObject(body));
  refuseContextOptions(checked.autoglm);
  return readChat(checked, headers);
}

/** A chat that another gateway answers, which may have all the options that this one has. */
export function parseRelayedChat(body: unknown, headers: IncomingHttpHeaders): ParsedRequest {
  return readChat(validateChat(checkObject(body)), headers);
}

function readChat(checked: ReturnType<typeof validateChat>, headers: IncomingHttpHeaders): ParsedRequest {
  const { maxTokens, topLogprobs } = chatLimits(checked);
  return withBody(checked, {
    ...common(checked, headers),
    input: { kind: 'chat', messages: checked.messages.map(toMessage) },
    maxTokens,
    topLogprobs,
    format: format('chat', checked),
  });
}

export function parseRemoteCompletion(body: unknown, headers: IncomingHttpHeaders): ParsedRequest {
  const checked = validateCompletion(checkObject(body));
  refuseContextOptions(checked.autoglm);
  return withBody(checked, { ...common(checked, headers), ...completionInput(checked), format: format('completion', checked) });
}

const roles: Readonly<Record<string, ChatMessage['role']>> = {
  system: 'system',
  developer: 'system',
  assistant: 'assistant',
  tool: 'tool',
  function: 'tool',
};

function toMessage(message: { readonly role: string; readonly content?: unknown }): ChatMessage {
  return { role: roles[message.role] ?? 'user', content: textOf(message.content), wire: message };
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part: { text?: unknown } | null) => (typeof part?.text === 'string' ? part.text : '')).join('');
}
