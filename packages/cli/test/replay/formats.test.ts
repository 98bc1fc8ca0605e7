import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openTrace, type TraceEntry } from '../../src/replay/trace/open-trace.ts';
import { planReplay } from '../../src/replay/trace/plan.ts';
import { withFile } from './trace-file.ts';

async function entriesOf(
  text: string,
  format: Parameters<typeof openTrace>[1] = 'auto',
): Promise<{ readonly format: string; readonly entries: TraceEntry[] }> {
  await using file = await withFile(text);
  const trace = await openTrace(file.path, format);
  return { format: trace.format.name, entries: await Array.fromAsync(trace.entries()) };
}

const shown = (entries: readonly TraceEntry[]) =>
  entries.map((entry) =>
    entry.kind === 'broken' ? `${entry.line}: ${entry.reason}` : [entry.atMs, entry.request.prompt, entry.request.outputTokens],
  );

describe('formats, with broken lines between', () => {
  it('azure, as published', async () => {
    const { format, entries } = await entriesOf(
      'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\nyesterday,1,1\n2023-11-16 18:17:04.0319600,-1,8\n2023-11-16 18:17:04.0319600\n2023-11-16 18:17:04.0319600,110,27\n',
    );
    expect(format).toBe('azure');
    expect(shown(entries)).toEqual([
      [0, { kind: 'length', tokens: 4808 }, 10],
      '3: TIMESTAMP is not a date and time',
      '4: ContextTokens is not a whole number of tokens',
      '5: ContextTokens is not a number',
      [expect.closeTo(52), { kind: 'length', tokens: 110 }, 27],
    ]);
  });

  it('azure, as JSON Lines', async () => {
    const { format, entries } = await entriesOf(
      '{"t": 0.5, "prompt_tokens": 374, "output_tokens": 44}\n{"t": 1\n[]\n{"t": "2", "prompt_tokens": 1, "output_tokens": 1}\n\n{"t": 2, "prompt_tokens": 1.5, "output_tokens": 1}\n{"t": 2, "prompt_tokens": 1e99, "output_tokens": 1}\n{"t": 4.5, "prompt_tokens": 0, "output_tokens": 0}',
    );
    expect(format).toBe('azure');
    expect(shown(entries)).toEqual([
      [0, { kind: 'length', tokens: 374 }, 44],
      '2: not JSON',
      '3: not a JSON object',
      '4: t is not a number',
      '6: prompt_tokens is not a whole number of tokens',
      '7: prompt_tokens is not a whole number of tokens',
      [4000, { kind: 'length', tokens: 0 }, 0],
    ]);
  });

  it('mooncake', async () => {
    const { format, entries } = await entriesOf(
      '\ufeff{"timestamp": 27482, "input_length": 1000, "output_length": 52, "hash_ids": [46, 47]}\r\n{"timestamp": 27483, "input_length": 1000, "output_length": 52, "hash_ids": [46, "x"]}\r\n{"timestamp": 27500, "input_length": 3, "output_length": 1}\r\n',
    );
    expect(format).toBe('mooncake');
    expect(shown(entries)).toEqual([
      [0, { kind: 'blocks', tokens: 1000, blockTokens: 512, blocks: [46, 47] }, 52],
      '2: hash_ids is not an array of whole numbers',
      [18, { kind: 'blocks', tokens: 3, blockTokens: 512, blocks: [] }, 1],
    ]);
  });

  it('burstgpt, with columns in another order and quotes', async () => {
    const { format, entries } = await entriesOf(
      'Model,Timestamp,Request tokens,Response tokens,Total tokens,Log Type\nChatGPT,5,472,18,490,"Conversation, log"\nGPT-4,45,x,2,3,API log\nGPT-4,118,1087,0,1087,"API ""log"""\n',
    );
    expect(format).toBe('burstgpt');
    expect(shown(entries)).toEqual([
      [0, { kind: 'length', tokens: 472 }, 18],
      '3: Request tokens is not a number',
      [113_000, { kind: 'length', tokens: 1087 }, 0],
    ]);
  });

  it('autoglm', async () => {
    const line = (rest: object) => JSON.stringify({ autoglm_trace: 1, at_ms: 10, path: '/v1/chat/completions', ...rest });
    const prompt = { characters: 840, block_characters: 64, block_hashes: ['a'] };
    const { format, entries } = await entriesOf(
      [
        line({ body: { messages: [] }, answer: { equals: 'x' } }),
        line({ prompt, output_tokens: 3 }),
        line({}),
        line({ path: '/v1/embeddings', prompt }),
        line({ autoglm_trace: 2, prompt }),
        line({ prompt: { ...prompt, block_characters: 0 } }),
        line({ body: {}, answer: { is: 1 } }),
        line({ prompt, asked: { stream: true, max_tokens: 40 } }),
        line({ prompt, asked: { max_tokens: -1 } }),
      ].join('\n'),
    );
    expect(format).toBe('autoglm');
    expect(shown(entries)).toEqual([
      [0, { kind: 'body', body: { messages: [] } }, undefined],
      [0, { kind: 'character-blocks', characters: 840, blockCharacters: 64, blocks: ['a'] }, 3],
      '3: neither a body nor a prompt',
      '4: path is not one that can be replayed',
      '5: autoglm_trace is not 1',
      "6: the prompt's characters or block_characters are not whole numbers",
      '7: answer has no equals, contains or sha256 that is a string',
      [0, { kind: 'character-blocks', characters: 840, blockCharacters: 64, blocks: ['a'] }, 40],
      [0, { kind: 'character-blocks', characters: 840, blockCharacters: 64, blocks: ['a'] }, undefined],
    ]);
  });

  it('no known one, no request, no file', async () => {
    await expect(entriesOf('hello\nworld\n')).rejects.toThrow(/is no trace that autoglm knows \(azure, mooncake, burstgpt, autoglm\)/);
    await expect(entriesOf('\n \n')).rejects.toThrow(/is empty: there is no request to send/);
    await expect(openTrace('/nowhere/trace.csv', 'auto')).rejects.toThrow('There is no file /nowhere/trace.csv.');
    await expect(openTrace('/', 'auto')).rejects.toThrow('/ cannot be read');
    await using file = await withFile('{"t": 1}\n');
    await expect(planReplay(await openTrace(file.path, 'azure'), { rate: { kind: 'speed', factor: 1 } })).rejects.toThrow(
      /holds no request: line 1 is broken \(prompt_tokens is not a whole number of tokens\)/,
    );
  });
});

const data = path.resolve('../shared/data/traces');

describe.skipIf(!existsSync(data))('published traces (skipped where ../shared/data is absent)', () => {
  it.each([
    ['azure-conversation-2023.jsonl', 'azure', 19_366],
    ['mooncake-synthetic.jsonl', 'mooncake', 3993],
  ])('%s is read whole', async (name, format, count) => {
    const trace = await openTrace(path.join(data, name), 'auto');
    const { facts, makesPrompts } = await planReplay(trace, { rate: { kind: 'speed', factor: 1 } });
    expect(facts).toMatchObject({ format, requestCount: count, brokenLineCount: 0, clockBackwardsCount: 0 });
    expect(makesPrompts).toBe(true);
    expect(facts.spanMs).toBeGreaterThan(60_000);
  });
});
