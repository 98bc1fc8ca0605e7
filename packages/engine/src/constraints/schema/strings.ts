import type { Node } from '../grammar.ts';
import { jsonString } from '../terminals/json-string.ts';
import { at, countRange, schemaError, type Schema, type SchemaContext } from './context.ts';
import { formatPatterns } from './formats.ts';
import { patternAutomaton } from './pattern.ts';

export const stringKeywords = ['minLength', 'maxLength', 'pattern', 'format'] as const;

export function compileString(context: SchemaContext, schema: Schema, path: string): Node {
  const lengths = countRange(schema, ['minLength', 'maxLength'], path);
  const { pattern, format } = schema;
  if (pattern !== undefined && format !== undefined) throw schemaError(at(path, 'format'), "cannot stand beside 'pattern'");
  if (pattern !== undefined) {
    if (typeof pattern !== 'string') throw schemaError(at(path, 'pattern'), 'must be a string');
    return jsonString(0, Infinity, patternAutomaton(context, pattern, lengths, at(path, 'pattern')));
  }
  if (format !== undefined)
    return jsonString(0, Infinity, patternAutomaton(context, formatPattern(format, at(path, 'format')), lengths, at(path, 'format')));
  return jsonString(...lengths);
}

function formatPattern(format: unknown, path: string): string {
  const pattern = typeof format === 'string' && Object.hasOwn(formatPatterns, format) ? formatPatterns[format] : undefined;
  if (pattern === undefined) throw schemaError(path, `must be one of ${Object.keys(formatPatterns).join(', ')}`);
  return pattern;
}
