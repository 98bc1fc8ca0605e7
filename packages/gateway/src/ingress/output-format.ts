import { AutoglmError, type GatewayRequest, type ResponseFormat, type Tool, type ToolChoice } from '@open-autoglm/protocol';
import Type, { type Static } from 'typebox';
import { createValidator, optional } from './validate.ts';

const closed = { additionalProperties: false } as const;
const functionName = Type.String({ pattern: '^[a-zA-Z0-9_-]{1,64}$', title: 'a name of up to 64 letters, digits, underscores and dashes' });
const schemaObject = Type.Record(Type.String(), Type.Unknown(), { title: 'a JSON Schema' });

const jsonSchema = Type.Object(
  {
    name: functionName,
    description: optional(Type.String(), 'a string'),
    schema: optional(schemaObject, 'a JSON Schema'),
    strict: optional(Type.Boolean(), 'true or false'),
  },
  closed,
);

const validateTool = createValidator(
  Type.Object(
    {
      type: Type.Literal('function', { title: '"function"' }),
      function: Type.Object(
        {
          name: functionName,
          description: optional(Type.String(), 'a string'),
          parameters: optional(schemaObject, 'a JSON Schema'),
          strict: optional(Type.Boolean(), 'true or false'),
        },
        closed,
      ),
    },
    closed,
  ),
);

/** Fields of a chat that say what form its answer has. */
export const outputFormatFields = {
  response_format: Type.Optional(Type.Union([Type.Object({ type: Type.String() }), Type.Null()], { title: 'an object with a type' })),
  tools: optional(Type.Array(Type.Object({}), { maxItems: 128 }), 'an array of up to 128 functions'),
  tool_choice: optional(
    Type.Union([
      Type.Literal('none'),
      Type.Literal('auto'),
      Type.Literal('required'),
      Type.Object({ type: Type.Literal('function'), function: Type.Object({ name: Type.String() }, closed) }, closed),
    ]),
    '"none", "auto", "required", or {"type": "function", "function": {"name": …}}',
  ),
  parallel_tool_calls: optional(Type.Boolean(), 'true or false'),
};

/** The formats, each by its type, so that an error speaks of the one that was meant. */
const validateFormat = {
  text: createValidator(Type.Object({ type: Type.String() }, closed)),
  json_object: createValidator(Type.Object({ type: Type.String() }, closed)),
  json_schema: createValidator(Type.Object({ type: Type.String(), json_schema: jsonSchema }, closed)),
} as const;

const outputFormat = Type.Object(outputFormatFields);
type OutputFormatFields = Static<typeof outputFormat>;

/** Reads them. */
export function readOutputFormat(
  body: OutputFormatFields,
): Pick<GatewayRequest, 'responseFormat' | 'tools' | 'toolChoice' | 'parallelToolCalls'> {
  const tools = body.tools?.map((entry, index): Tool =>
    toTool(validateTool(entry, `tools[${index}]`).function, `tools[${index}].function`),
  );
  const toolChoice = readToolChoice(body.tool_choice, tools ?? []);
  const responseFormat = readResponseFormat(body.response_format);
  return {
    ...(responseFormat && { responseFormat }),
    ...(tools?.length && { tools, toolChoice, parallelToolCalls: body.parallel_tool_calls ?? true }),
  };
}

type WireFunction = ReturnType<typeof validateTool>['function'];

function toTool({ name, description, parameters, strict }: WireFunction, path: string): Tool {
  if (parameters) checkSchemaSize(parameters, `${path}.parameters`);
  return {
    name,
    ...(description != null && { description }),
    ...(parameters && { parameters }),
    ...(strict != null && { strict }),
  };
}

function readToolChoice(choice: OutputFormatFields['tool_choice'], tools: readonly Tool[]): ToolChoice {
  const twice = tools.findIndex(({ name }, index) => tools.findIndex((other) => other.name === name) < index);
  if (twice !== -1) throw invalid(`tools[${twice}].function.name`, 'another function has this name');
  if (choice == null || choice === 'none' || choice === 'auto') return choice ?? 'auto';
  if (tools.length === 0) throw invalid('tool_choice', "there are no 'tools' to choose from");
  if (choice === 'required') return choice;
  const { name } = choice.function;
  if (!tools.some((entry) => entry.name === name))
    throw invalid('tool_choice.function.name', `no function in 'tools' has the name ${JSON.stringify(name)}`);
  return { name };
}

function readResponseFormat(format: OutputFormatFields['response_format']): ResponseFormat | undefined {
  if (!format) return undefined;
  const { type } = format;
  if (!Object.hasOwn(validateFormat, type))
    throw invalid('response_format.type', `must be one of ${Object.keys(validateFormat).join(', ')}`);
  if (type !== 'json_schema') {
    validateFormat[type as 'text' | 'json_object'](format, 'response_format');
    return type === 'json_object' ? { type } : undefined;
  }
  const { schema } = validateFormat.json_schema(format, 'response_format').json_schema;
  if (schema) checkSchemaSize(schema, 'response_format.json_schema.schema');
  return { type, schema: schema ?? true };
}

const schemaDepthMax = 256;
const schemaNodesMax = 200_000;

/** What is nested deeper cannot even be written as JSON again; the engine's bounds are tighter and say more. */
function checkSchemaSize(schema: object, path: string): void {
  let level: readonly object[] = [schema];
  let nodes = 0;
  for (let depth = 0; level.length > 0; depth += 1) {
    nodes += level.length;
    if (depth > schemaDepthMax || nodes > schemaNodesMax)
      throw invalid(path, `must not be nested more than ${schemaDepthMax} deep, nor have more than ${schemaNodesMax} parts`);
    level = level.flatMap((value) => Object.values(value).filter((child): child is object => typeof child === 'object' && child !== null));
  }
}

function invalid(param: string, message: string): AutoglmError {
  return new AutoglmError('invalid_value', `Invalid value for '${param}': ${message}.`, { param });
}
