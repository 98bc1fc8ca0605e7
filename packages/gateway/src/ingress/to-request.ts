import type { IncomingHttpHeaders } from 'node:http';
import {
  AutoglmError,
  type ChatMessage,
  type ClientBody,
  type ContextStrategy,
  type GatewayRequest,
  type Lane,
  type RequestInput,
  type Sampling,
} from '@open-autoglm/protocol';
import type { AnswerFormat } from '../common/answer-format.ts';
import { refuseTwoLengths } from './answer-length.ts';
import { readOutputFormat } from './output-format.ts';
import { cacheWish } from './cache-options.ts';
import { contextOptions } from './context-options.ts';
import { checkBodyExtensions, checkHeaderExtensions, deadlineOf } from './extensions.ts';
import { inputOptions } from './input-options.ts';
import { laneOf } from './lane.ts';
import { chatSchema, completionSchema, extensionFields, messageSchemas } from './schemas.ts';
import { tenantOf } from './tenant.ts';
import { refuseOtherParts, withoutUnsupported } from './unsupported.ts';
import { createValidator } from './validate.ts';

/** What a body asks for, checked and in our words. */
export interface ParsedRequest extends Pick<
  GatewayRequest,
  'cache' | 'fit' | 'compression' | 'documents' | 'responseFormat' | 'tools' | 'toolChoice' | 'parallelToolCalls'
> {
  readonly model: string;
  readonly input: RequestInput;
  readonly choiceCount: number;
  readonly sampling: Partial<Sampling>;
  readonly maxTokens: number | undefined;
  readonly stop: readonly string[];
  readonly topLogprobs: number | undefined;
  /** What the client says of who asks: one value for all requests that belong together. */
  readonly session: string | undefined;
  readonly body: ClientBody;
  readonly tenant: string;
  readonly lane: Lane;
  readonly contextStrategy?: ContextStrategy | undefined;
  readonly attention?: boolean | undefined;
  readonly format: AnswerFormat;
  readonly deadlineMs: number | undefined;
}

const validateChat = createValidator(chatSchema);
const validateCompletion = createValidator(completionSchema);
type Role = keyof typeof messageSchemas;
const roles = Object.keys(messageSchemas) as Role[];
const validateMessage = Object.fromEntries(
  Object.entries(messageSchemas).map(([role, schema]) => [role, createValidator(schema)]),
) as Record<Role, (value: unknown, prefix: string) => unknown>;

export function parseChat(body: unknown, headers: IncomingHttpHeaders): ParsedRequest {
  const checked = validateChat(prepare(body, chatSchema.properties));
  if (typeof checked.top_logprobs === 'number' && checked.logprobs !== true) {
    throw new AutoglmError('invalid_value', "Invalid value for 'top_logprobs': it needs 'logprobs' to be true.", { param: 'top_logprobs' });
  }
  refuseTwoLengths(checked);
  refuseObfuscation(checked);
  return withBody(checked, {
    ...common(checked, headers),
    input: { kind: 'chat', messages: checked.messages.map(toMessage) },
    ...chatLimits(checked),
    ...readOutputFormat(checked),
    format: format('chat', checked),
  });
}

export function parseCompletion(body: unknown, headers: IncomingHttpHeaders): ParsedRequest {
  const checked = validateCompletion(prepare(body, completionSchema.properties));
  refuseObfuscation(checked);
  return withBody(checked, { ...common(checked, headers), ...completionInput(checked), format: format('completion', checked) });
}

/** Keeps the client's own words beside what was read of them, in what was read: no copy is made of that. */
export function withBody(body: object, read: Omit<ParsedRequest, 'body'>): ParsedRequest {
  const fields = ('autoglm' in body ? { ...body, autoglm: undefined } : body) as Readonly<Record<string, unknown>>;
  const { input, choiceCount, sampling, maxTokens, stop, topLogprobs } = read;
  return Object.assign(read, { body: { fields, read: { input, choiceCount, sampling, maxTokens, stop, topLogprobs } } });
}

type ChatLimits = Pick<ReturnType<typeof validateChat>, 'max_tokens' | 'max_completion_tokens' | 'logprobs' | 'top_logprobs'>;

export function chatLimits({
  max_tokens: maxTokens,
  max_completion_tokens: maxCompletionTokens,
  logprobs,
  top_logprobs: topLogprobs,
}: ChatLimits): Pick<ParsedRequest, 'maxTokens' | 'topLogprobs'> {
  return { maxTokens: maxCompletionTokens ?? maxTokens ?? undefined, topLogprobs: logprobs ? (topLogprobs ?? 0) : undefined };
}

export function completionInput({
  prompt,
  max_tokens: maxTokens,
  logprobs,
}: Pick<ReturnType<typeof validateCompletion>, 'prompt' | 'max_tokens' | 'logprobs'>): Pick<
  ParsedRequest,
  'input' | 'maxTokens' | 'topLogprobs'
> {
  return {
    input: { kind: 'completion', prompts: toPrompts(prompt) },
    // OpenAI's default for text completions, unlike chat's.
    maxTokens: maxTokens ?? 16,
    topLogprobs: logprobs ?? undefined,
  };
}

function prepare(body: unknown, fields: object): unknown {
  return withoutUnsupported(checkObject(body), fields);
}

/** A JSON object whose extensions are known. */
export function checkObject(body: unknown): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new AutoglmError('invalid_json', 'The body must be a JSON object.');
  checkBodyExtensions((body as { autoglm?: unknown }).autoglm, extensionFields);
  return body as Record<string, unknown>;
}

type Common = Pick<
  ReturnType<typeof validateChat>,
  | 'model'
  | 'n'
  | 'temperature'
  | 'top_p'
  | 'top_k'
  | 'min_p'
  | 'repetition_penalty'
  | 'presence_penalty'
  | 'frequency_penalty'
  | 'logit_bias'
  | 'seed'
  | 'stop'
  | 'stream'
  | 'stream_options'
  | 'autoglm'
  | 'user'
> &
  Partial<Pick<ReturnType<typeof validateChat>, 'prompt_cache_key'>>;

/** What chat and text completions, here or elsewhere, have in common. */
export function common(body: Common, headers: IncomingHttpHeaders) {
  if (body.stream_options && !body.stream) {
    throw new AutoglmError('invalid_value', "Invalid value for 'stream_options': it needs 'stream' to be true.", {
      param: 'stream_options',
    });
  }
  checkHeaderExtensions(headers);
  return {
    model: body.model,
    choiceCount: body.n ?? 1,
    sampling: toSampling(body),
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    session: body.prompt_cache_key ?? body.user ?? undefined,
    deadlineMs: deadlineOf(headers, body.autoglm?.deadline_ms),
    lane: laneOf(headers, body.autoglm?.lane),
    tenant: tenantOf(headers, body.autoglm?.tenant ?? undefined),
    ...(body.autoglm && { ...contextOptions(body.autoglm), ...inputOptions(body.autoglm) }),
    cache: cacheWish(body.autoglm?.cache, headers),
  };
}

function refuseObfuscation({ stream_options: options }: Pick<Common, 'stream_options'>): void {
  if (!options?.include_obfuscation) return;
  throw new AutoglmError('unsupported_feature', "Obfuscation ('stream_options.include_obfuscation') is not available in this version.", {
    param: 'stream_options.include_obfuscation',
  });
}

/** What is absent or null is the engine's to choose: another server knows better what suits its model. */
function toSampling(body: Common): Partial<Sampling> {
  const sampling: Writable<Partial<Sampling>> = {};
  const take = <K extends keyof Sampling>(name: K, value: Sampling[K] | null | undefined) => {
    if (value !== undefined && value !== null) sampling[name] = value;
  };
  take('temperature', body.temperature);
  // vLLM's word for 0.
  take('topK', body.top_k === -1 ? 0 : body.top_k);
  take('topP', body.top_p);
  take('minP', body.min_p);
  take('repetitionPenalty', body.repetition_penalty);
  take('presencePenalty', body.presence_penalty);
  take('frequencyPenalty', body.frequency_penalty);
  take('logitBias', body.logit_bias);
  take('seed', body.seed);
  return sampling;
}
type Writable<T> = { -readonly [K in keyof T]: T[K] };

export function format(api: AnswerFormat['api'], body: Pick<Common, 'stream' | 'stream_options'>): AnswerFormat {
  return { api, stream: body.stream ?? false, includeUsage: body.stream_options?.include_usage ?? false };
}

function toPrompts(prompt: ReturnType<typeof validateCompletion>['prompt']): readonly (string | number[])[] {
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as (string | number[])[]);
}

interface WireMessage {
  readonly content?: string | readonly { readonly text: string }[] | null;
  readonly name?: string;
  readonly tool_call_id?: string;
  readonly tool_calls?: ChatMessage['toolCalls'] | null;
}

function toMessage(value: { readonly role: string }, index: number): ChatMessage {
  const param = `messages[${index}]`;
  if (!roles.includes(value.role as Role)) {
    throw new AutoglmError('invalid_value', `Invalid value for '${param}.role': must be one of ${roles.join(', ')}.`, {
      param: `${param}.role`,
    });
  }
  const role = value.role as Role;
  refuseOtherParts((value as { content?: unknown }).content, `${param}.content`);
  const message = validateMessage[role](value, param) as WireMessage;
  const { content } = message;
  if (role === 'assistant' && !content && !message.tool_calls?.length) {
    throw new AutoglmError('missing_parameter', `Missing required parameter: '${param}.content'.`, { param: `${param}.content` });
  }
  return {
    role: role === 'developer' ? 'system' : role,
    content: typeof content === 'string' ? content : (content ?? []).map(({ text }) => text).join(''),
    ...(message.name !== undefined && { name: message.name }),
    ...(message.tool_call_id !== undefined && { toolCallId: message.tool_call_id }),
    ...(message.tool_calls && { toolCalls: message.tool_calls }),
  };
}
