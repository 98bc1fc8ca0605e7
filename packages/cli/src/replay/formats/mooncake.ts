import { BrokenLineError, type TraceFormat } from '../trace/trace-format.ts';
import { parseRecord, timeField, tokensField, tryParseRecord } from './fields.ts';

/** Tokens of a block, in all of Mooncake's published traces. */
const blockTokens = 512;

/**
 * Mooncake's traces (kvcache-ai/Mooncake), JSON Lines: milliseconds, and a name for each block of 512 tokens. A name stands for the
 * block and all before it, so equal names are a shared prefix:
 *
 *   {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 2353, …]}
 */
export const mooncakeFormat: TraceFormat = {
  name: 'mooncake',
  recognises(line) {
    const record = tryParseRecord(line);
    return record !== undefined && 'timestamp' in record && 'input_length' in record;
  },
  createReader: () => ({
    read(line) {
      const record = parseRecord(line);
      return {
        atMs: timeField(record, 'timestamp'),
        prompt: { kind: 'blocks', tokens: tokensField(record, 'input_length'), blockTokens, blocks: readHashIds(record['hash_ids'] ?? []) },
        outputTokens: tokensField(record, 'output_length'),
        path: '/v1/chat/completions',
      };
    },
  }),
};

function readHashIds(value: unknown): readonly number[] {
  if (!Array.isArray(value) || !value.every((id) => Number.isSafeInteger(id)))
    throw new BrokenLineError('hash_ids is not an array of whole numbers');
  return value as number[];
}
