import Type from 'typebox';
import { cacheFields } from './cache-options.ts';
import { contextFields } from './context-options.ts';
import { sharedFields } from './extensions.ts';
import { inputFields } from './input-options.ts';
import { outputFormatFields } from './output-format.ts';
import { optional } from './validate.ts';

const closed = { additionalProperties: false } as const;

const number = (minimum: number, maximum: number) => optional(Type.Number({ minimum, maximum }), `a number from ${minimum} to ${maximum}`);
const integer = (minimum: number, maximum: number) =>
  optional(Type.Integer({ minimum, maximum }), `an integer from ${minimum} to ${maximum}`);
const boolean = () => optional(Type.Boolean(), 'true or false');
const text = (maxLength: number) => optional(Type.String({ maxLength }), 'a string');

const maxTokenCount = 10_000_000;
const stop = Type.Union([
  Type.String({ minLength: 1, maxLength: 1024 }),
  Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), { maxItems: 16 }),
]);

/** `autoglm`; its keys are checked before its values. */
export const extensionFields = { ...sharedFields, ...contextFields, ...inputFields, ...cacheFields };

/** What chat and text completions share: sampling, limits, streaming, and our extensions. */
const commonFields = {
  model: Type.String({ minLength: 1, maxLength: 512 }),
  frequency_penalty: number(-2, 2),
  presence_penalty: number(-2, 2),
  repetition_penalty: optional(Type.Number({ exclusiveMinimum: 0, maximum: 10 }), 'a number above 0 and up to 10'),
  temperature: number(0, 2),
  top_p: optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 }), 'a number above 0 and up to 1'),
  top_k: integer(-1, 1_000_000),
  min_p: number(0, 1),
  logit_bias: optional(
    Type.Record(Type.String({ pattern: '^[0-9]{1,9}$' }), Type.Number({ minimum: -100, maximum: 100 }), closed),
    'an object from token ids to numbers from -100 to 100',
  ),
  max_tokens: integer(1, maxTokenCount),
  n: integer(1, 16),
  seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  stop: optional(stop, 'a string that is not empty, or up to 16 of them'),
  stream: boolean(),
  stream_options: optional(
    Type.Object({ include_usage: boolean(), include_obfuscation: boolean() }, closed),
    'an object with include_usage',
  ),
  user: text(1024),
  autoglm: optional(Type.Object(extensionFields), 'an object'),
};

const textPart = Type.Object({ type: Type.Literal('text'), text: Type.String() }, closed);
const content = Type.Union([Type.String(), Type.Array(textPart, { minItems: 1 })], {
  title: 'a string, or an array of parts such as {"type": "text", "text": "…"}',
});
const optionalContent = optional(Type.Union([Type.String(), Type.Array(textPart)]), 'a string or an array of text parts');
const toolCall = Type.Object({
  id: Type.String(),
  type: Type.Literal('function'),
  function: Type.Object({ name: Type.String(), arguments: Type.String() }),
});
const nothing = Type.Optional(Type.Null({ title: 'null: it is not available' }));
const name = Type.Optional(Type.String({ maxLength: 256 }));

/** By role, so that an error speaks of the role that was meant. */
export const messageSchemas = {
  system: Type.Object({ role: Type.String(), content, name }, closed),
  developer: Type.Object({ role: Type.String(), content, name }, closed),
  user: Type.Object({ role: Type.String(), content, name }, closed),
  assistant: Type.Object(
    {
      role: Type.String(),
      content: optionalContent,
      name,
      tool_calls: optional(Type.Array(toolCall), 'an array of function calls'),
      // An answer that is sent back as it came has these; there is nothing in them that a template could use.
      refusal: nothing,
      audio: nothing,
      function_call: nothing,
      // OpenAI's client adds it to what it has read; the content says the same.
      parsed: Type.Optional(Type.Unknown()),
      annotations: optional(Type.Array(Type.Unknown(), { maxItems: 0 }), 'an empty array'),
    },
    closed,
  ),
  tool: Type.Object({ role: Type.String(), content, tool_call_id: Type.String() }, closed),
} as const;

export const chatSchema = Type.Object(
  {
    ...commonFields,
    messages: Type.Array(Type.Object({ role: Type.String() }), { minItems: 1, maxItems: 10_000, title: 'an array of 1 to 10000 messages' }),
    max_completion_tokens: integer(1, maxTokenCount),
    logprobs: boolean(),
    top_logprobs: integer(0, 20),
    metadata: optional(Type.Record(Type.String(), Type.String()), 'an object of strings'),
    ...outputFormatFields,
    prompt_cache_key: text(1024),
    safety_identifier: text(1024),
  },
  closed,
);

const tokens = Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 });

export const completionSchema = Type.Object(
  {
    ...commonFields,
    prompt: Type.Union(
      [Type.String(), Type.Array(Type.String(), { minItems: 1, maxItems: 16 }), tokens, Type.Array(tokens, { minItems: 1, maxItems: 16 })],
      {
        title: 'a string, up to 16 strings, or token ids',
      },
    ),
    logprobs: integer(0, 20),
  },
  closed,
);

/** What must be known of a request that another server answers: it judges the rest, and the client's own words reach it. */
const openStreamOptions = optional(Type.Object({ include_usage: boolean() }), 'an object with include_usage');

export const remoteChatSchema = Type.Object({
  ...chatSchema.properties,
  stream_options: openStreamOptions,
  metadata: Type.Optional(Type.Unknown()),
  response_format: Type.Optional(Type.Unknown()),
  tools: Type.Optional(Type.Unknown()),
  tool_choice: Type.Optional(Type.Unknown()),
  parallel_tool_calls: Type.Optional(Type.Unknown()),
});

/** No field of text completions is OpenAI's `prompt_cache_key`, but other servers may have one, and it tells sessions apart here. */
export const remoteCompletionSchema = Type.Object({
  ...completionSchema.properties,
  stream_options: openStreamOptions,
  prompt_cache_key: chatSchema.properties.prompt_cache_key,
});
