import type { TSchema } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { isMap, LineCounter, parseDocument, type Document } from 'yaml';
import { ConfigError } from './config-error.ts';

/** A YAML file's value, and where in it everything stands. */
export interface YamlSource {
  readonly path: string;
  readonly value: Record<string, unknown>;
  readonly document: Document;
  readonly lines: LineCounter;
}

/** Throws `ConfigError`, with an example of a key that it could hold. */
export function parseYaml(path: string, text: string, example: string): YamlSource {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  // A tag that nobody knows, such as !secret, is a warning only, and what follows it would be taken for the value.
  const error = document.errors[0] ?? document.warnings[0];
  if (error) throw new ConfigError(`${path}: ${error.message}`);
  if (document.contents !== null && !isMap(document.contents))
    throw new ConfigError(`${path} must hold keys and values, such as "${example}:".`);
  return { path, value: valueOf(path, document), document, lines };
}

/** Aliases are only followed here: one may have no anchor, and some multiply each other. */
function valueOf(path: string, document: Document): Record<string, unknown> {
  try {
    return (document.toJS() ?? {}) as Record<string, unknown>;
  } catch (error) {
    throw new ConfigError(`${path}: ${(error as Error).message}.`);
  }
}

/**
 * Throws `ConfigError`, which names the key and its line. As the schema stands: compiling it takes longer than checking one value with it.
 */
export function check(value: unknown, schema: TSchema, base: readonly string[], source: YamlSource | undefined): void {
  if (Check(schema, value)) return;
  const errors = [...Errors(schema, value)];
  const unknown = errors.find((error) => error.keyword === 'additionalProperties');
  if (unknown) {
    const [key = ''] = unknown.params['additionalProperties'] as unknown as string[];
    const path = segments(unknown.instancePath);
    throw new ConfigError(
      `${place(source, [...base, ...path, key])}unknown key "${written([...base, ...path, key])}"${suggestion(key, schemaAt(schema, path))}`,
    );
  }
  const missing = errors.find((error) => error.keyword === 'required');
  if (missing) {
    const [key = ''] = missing.params['requiredProperties'] as unknown as string[];
    const path = [...base, ...segments(missing.instancePath)];
    throw new ConfigError(`${place(source, path)}${written([...path, key])} is missing.`);
  }
  const error = errors.find((candidate) => candidate.keyword === 'anyOf') ?? errors[0];
  const path = segments(error?.instancePath ?? '');
  throw new ConfigError(
    `${place(source, [...base, ...path])}${written([...base, ...path])} ${explain(schemaAt(schema, path), error?.message)}.`,
  );
}

/** By its title, where the schema itself would say too little. */
function explain(schema: TSchema | undefined, message = 'is not valid'): string {
  const { title, anyOf } = (schema ?? {}) as { title?: string; anyOf?: readonly { const?: unknown }[] };
  if (title !== undefined) return `must be ${title}`;
  const choices = anyOf?.map(({ const: choice }) => choice);
  return choices?.every((choice) => typeof choice === 'string') ? `must be ${oneOf(choices)}` : message;
}

export function oneOf(choices: readonly string[]): string {
  return `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`;
}

function suggestion(wanted: string, schema: TSchema | undefined): string {
  const { properties = {}, patternProperties } = (schema ?? {}) as Described;
  if (patternProperties) return `; keys here match ${Object.keys(patternProperties).join(' or ')}.`;
  const candidates = Object.keys(properties);
  const [nearest] = candidates.map((name) => ({ name, distance: editDistance(name, wanted) })).sort((a, b) => a.distance - b.distance);
  return nearest && nearest.distance <= Math.max(2, wanted.length / 3)
    ? `; did you mean "${nearest.name}"?`
    : `; known keys: ${candidates.join(', ')}.`;
}

/** An object, a record (all of whose keys have one schema) or an array. */
interface Described {
  readonly properties?: Readonly<Record<string, TSchema>>;
  readonly patternProperties?: Readonly<Record<string, TSchema>>;
  readonly items?: TSchema;
}

function schemaAt(schema: TSchema, path: readonly string[]): TSchema | undefined {
  return path.reduce<TSchema | undefined>((current, key) => {
    const { properties, patternProperties, items } = (current ?? {}) as Described;
    return properties?.[key] ?? items ?? Object.values(patternProperties ?? {})[0];
  }, schema);
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j += 1)
      next.push(Math.min((row[j] ?? 0) + Number(letter !== b[j]), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The file and the line of a key, to begin a message with; empty where nobody wrote it. */
export function place(source: YamlSource | undefined, path: readonly string[]): string {
  const node = source?.document.getIn(path, true) as { range?: [number, number, number] } | undefined;
  if (!source || !node?.range) return '';
  return `${source.path}:${source.lines.linePos(node.range[0]).line}: `;
}

/** `engines[0].url`. */
export function written(path: readonly string[]): string {
  return path
    .map((key) => (/^\d+$/.test(key) ? `[${key}]` : `.${key}`))
    .join('')
    .slice(1);
}

/** Of a JSON pointer (RFC 6901): models' names have slashes. */
function segments(instancePath: string): string[] {
  return instancePath
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
}
