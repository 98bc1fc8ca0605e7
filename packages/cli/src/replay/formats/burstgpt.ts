import type { TraceFormat } from '../trace/trace-format.ts';
import { createCsvReader, isHeader, numberCell, splitCsv, tokensCell } from './csv.ts';

/**
 * BurstGPT (HPMLL/BurstGPT), CSV; its releases differ in the columns between these:
 *
 *   Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
 *   5,1,2.4,ChatGPT,472,18,490,Conversation log
 *
 * Seconds from the beginning. A response of 0 tokens is one that had failed; the request is sent all the same. What the turns of
 * a session share is not recorded: all prompts are different.
 */
export const burstgptFormat: TraceFormat = {
  name: 'burstgpt',
  recognises: (line) => isHeader(splitCsv(line), columns),
  createReader: () =>
    createCsvReader(columns, (cells) => ({
      atMs: numberCell(cells, 'Timestamp') * 1000,
      prompt: { kind: 'length', tokens: tokensCell(cells, 'Request tokens') },
      outputTokens: tokensCell(cells, 'Response tokens'),
      path: '/v1/chat/completions',
    })),
};

const columns = ['Timestamp', 'Request tokens', 'Response tokens'] as const;
