import { AutoglmError, type ChatMessage, type GatewayRequest, type OutputGrammar, type Tool } from '@open-autoglm/protocol';

/**
 * How a call of a function is written: the form that Hermes and Qwen models were taught, between tags, one after the other.
 *
 *     <tool_call>
 *     {"name": "book", "arguments": {"time": "15:00"}}
 *     </tool_call>
 */
export const callOpening = '<tool_call>';
export const nameOpening = '\n{"name": "';
export const argumentsOpening = '", "arguments": ';
export const callClosing = '}\n</tool_call>';

/** Calls in one answer. */
const callsMax = 8;

/** What the answer must be; undefined where it may be anything. */
export function grammarOf({ responseFormat, tools, toolChoice, parallelToolCalls }: GatewayRequest): OutputGrammar | undefined {
  const json: OutputGrammar | undefined = responseFormat && {
    kind: 'json',
    schema: responseFormat.type === 'json_object' ? { type: 'object' } : responseFormat.schema,
    param: responseFormat.type === 'json_object' ? 'response_format' : 'response_format.json_schema.schema',
  };
  if (!tools || toolChoice === undefined || toolChoice === 'none') return json;
  const calls = callsGrammar(tools, typeof toolChoice === 'object' ? toolChoice.name : undefined, parallelToolCalls ?? true);
  if (toolChoice !== 'auto') return calls;
  const text: OutputGrammar = { kind: 'text', without: callOpening };
  return { kind: 'choice', options: json ? [json, calls] : [text, { kind: 'sequence', items: [text, calls] }] };
}

function callsGrammar(tools: readonly Tool[], only: string | undefined, mayBeSeveral: boolean): OutputGrammar {
  const options = tools.flatMap((tool, index) =>
    only === undefined || tool.name === only ? [callGrammar(tool, `tools[${index}].function.parameters`)] : [],
  );
  return {
    kind: 'repeat',
    item: { kind: 'choice', options },
    separator: { kind: 'literal', text: '\n' },
    min: 1,
    max: mayBeSeveral ? callsMax : 1,
  };
}

function callGrammar({ name, parameters = { properties: {} } }: Tool, param: string): OutputGrammar {
  const { type = 'object' } = parameters;
  if (type !== 'object')
    throw new AutoglmError('invalid_value', `Invalid value for '${param}.type': arguments are an object.`, { param: `${param}.type` });
  const schema =
    '$ref' in parameters || 'anyOf' in parameters || 'oneOf' in parameters || 'allOf' in parameters ? parameters : { ...parameters, type };
  return {
    kind: 'sequence',
    items: [
      { kind: 'literal', text: callOpening + nameOpening + name + argumentsOpening },
      { kind: 'json', schema, param },
      { kind: 'literal', text: callClosing },
    ],
  };
}

/** Whether a chat template tells functions and calls in this form. */
export function knowsTools(template: string): boolean {
  return /\btools\b/.test(template) && template.includes(callOpening);
}

/**
 * Messages for a template that knows nothing of tools: the functions are told in the system message, calls stand in the assistant's
 * text, results in a user's message between `<tool_response>` tags.
 */
export function withToolsInText(messages: readonly ChatMessage[], tools: readonly Tool[]): readonly ChatMessage[] {
  const plain = messages.map(toPlainMessage);
  if (tools.length === 0) return plain;
  const section = toolSection(tools);
  const [first, ...rest] = plain;
  return first?.role === 'system'
    ? [{ ...first, content: `${first.content}\n\n${section}` }, ...rest]
    : [{ role: 'system', content: section }, ...plain];
}

function toolSection(tools: readonly Tool[]): string {
  return [
    '# Tools',
    '',
    'You may call these functions, each given with the JSON Schema of its arguments:',
    '<tools>',
    ...tools.map((tool) => JSON.stringify(toWireTool(tool))),
    '</tools>',
    '',
    'To call a function, write its name and arguments as JSON between tags:',
    `${callOpening}${nameOpening}the function's name${argumentsOpening}{…}${callClosing}`,
  ].join('\n');
}

function toPlainMessage({ role, content, toolCalls, ...rest }: ChatMessage): ChatMessage {
  if (role === 'tool') return { role: 'user', content: `<tool_response>\n${content}\n</tool_response>` };
  if (!toolCalls?.length) return { role, content, ...rest };
  const calls = toolCalls.map(
    ({ function: called }) => callOpening + nameOpening + called.name + argumentsOpening + called.arguments + callClosing,
  );
  return { role, content: [...(content === '' ? [] : [content]), ...calls].join('\n'), ...rest };
}

/** A function in OpenAI's words, as templates expect it. */
export function toWireTool({ name, description, parameters, strict }: Tool): object {
  return {
    type: 'function',
    function: {
      name,
      ...(description !== undefined && { description }),
      parameters: parameters ?? { type: 'object', properties: {} },
      ...(strict !== undefined && { strict }),
    },
  };
}
