import { BrokenLineError, type TraceFormat, type TraceReader, type TraceRequest } from '../trace/trace-format.ts';
import { createCsvReader, isHeader, splitCsv, tokensCell } from './csv.ts';
import { parseRecord, timeField, tokensField, tryParseRecord } from './fields.ts';

/**
 * Azure's LLM inference traces of 2023 and 2024 (Azure/AzurePublicDataset). CSV as they were published:
 *
 *   TIMESTAMP,ContextTokens,GeneratedTokens
 *   2023-11-16 18:17:03.9799600,4808,10
 *
 * or JSON Lines with seconds from the beginning: {"t": 4.314579, "prompt_tokens": 396, "output_tokens": 109}.
 * Nothing is known of the contents: all prompts are different.
 */
export const azureFormat: TraceFormat = {
  name: 'azure',
  recognises(line) {
    if (isHeader(splitCsv(line), columns)) return true;
    const record = tryParseRecord(line);
    return record !== undefined && 't' in record && 'prompt_tokens' in record;
  },
  createReader(): TraceReader {
    const csv = createCsvReader(columns, fromCells);
    let isCsv = false;
    return {
      read(line) {
        isCsv ||= isHeader(splitCsv(line), columns);
        return isCsv ? csv.read(line) : fromRecord(line);
      },
    };
  },
};

const columns = ['TIMESTAMP', 'ContextTokens', 'GeneratedTokens'] as const;
const path = '/v1/chat/completions';

function fromRecord(line: string): TraceRequest {
  const record = parseRecord(line);
  return {
    atMs: timeField(record, 't') * 1000,
    prompt: { kind: 'length', tokens: tokensField(record, 'prompt_tokens') },
    outputTokens: tokensField(record, 'output_tokens'),
    path,
  };
}

function fromCells(cells: Readonly<Record<string, string>>): TraceRequest {
  return {
    atMs: parseTimestamp(cells['TIMESTAMP'] ?? ''),
    prompt: { kind: 'length', tokens: tokensCell(cells, 'ContextTokens') },
    outputTokens: tokensCell(cells, 'GeneratedTokens'),
    path,
  };
}

/** `Date.parse` would drop what is below a millisecond. */
function parseTimestamp(text: string): number {
  const match = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})?$/.exec(text);
  const wholeMs = match ? Date.parse(`${match[1]}T${match[2]}${match[4] ?? 'Z'}`) : NaN;
  if (Number.isNaN(wholeMs)) throw new BrokenLineError('TIMESTAMP is not a date and time');
  return wholeMs + Number(match?.[3] ?? 0) * 1000;
}
