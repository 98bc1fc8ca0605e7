import { describe, expect, it } from 'vitest';
import { chunksOf } from '../../src/input/documents/chunks.ts';
import { inParallel } from '../../src/input/documents/in-parallel.ts';
import {
  createMockEmbeddings,
  createMockEngine,
  defaultConfig,
  startGateway,
  type Config,
  type MockEmbeddingsScript,
  type MockScript,
} from '../../src/main.ts';

const chat = '/v1/chat/completions';
const never = new AbortController().signal;

describe('chunksOf', () => {
  it('cuts at the documents own borders, and leaves out nothing but white space', () => {
    const text = `${'A sentence of some words stands here. '.repeat(30)}\n\n\`\`\`\n${'code\n'.repeat(200)}\`\`\`\nThe end.\n`;
    const chunks = chunksOf([text, '', '  \n', 'Short.'], 400, ({ length }) => length);
    expect(
      chunks
        .filter(({ document }) => document === 0)
        .map((chunk) => chunk.text)
        .join(''),
    ).toBe(text);
    expect(chunks.every(({ document, start, end, text: own }) => [text, '', '  \n', 'Short.'][document]?.slice(start, end) === own)).toBe(
      true,
    );
    expect(chunks.filter((chunk) => chunk.text.length > 400).map((chunk) => chunk.text.slice(0, 4))).toEqual(['```\n']);
    expect(chunks.at(-1)?.text).toBe('Short.');
  });
});

describe('inParallel', () => {
  it('gives results in order, so many at a time, and ends the others with the first failure', async () => {
    let running = 0;
    let most = 0;
    const results = await inParallel([1, 2, 3, 4, 5], 2, never, async (item) => {
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return item * 2;
    });
    expect([results, most]).toEqual([[2, 4, 6, 8, 10], 2]);
    const ended: unknown[] = [];
    const failing = inParallel([1, 2, 3], 2, never, (item, signal) =>
      item === 1
        ? Promise.reject(new Error('one'))
        : new Promise((_, reject) =>
            signal.addEventListener('abort', () => {
              ended.push(item);
              reject(signal.reason as Error);
            }),
          ),
    );
    await expect(failing).rejects.toThrow('one');
    expect(ended).toEqual([2]);
    await expect(inParallel([1], 2, AbortSignal.abort(new Error('left')), async () => 1)).rejects.toThrow('left');
  });
});

interface Answer {
  readonly error?: { readonly code: string; readonly param: string };
  readonly autoglm?: { readonly documents?: Record<string, unknown>; readonly fitted?: object };
}

async function start({
  engine: script = {},
  embeddings: embeddingScript,
  documents = {},
  cache = {},
}: {
  engine?: MockScript;
  embeddings?: MockEmbeddingsScript | undefined;
  documents?: Partial<Config['documents']>;
  cache?: Partial<Config['cache']>;
} = {}) {
  const engine = createMockEngine(script);
  const embeddings = embeddingScript && createMockEmbeddings(embeddingScript);
  const config: Config = {
    ...defaultConfig,
    server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
    documents: { ...defaultConfig.documents, ...documents },
    cache: { ...defaultConfig.cache, ...cache },
  };
  const gateway = await startGateway({ config, engine, ...(embeddings && { embeddings }) });
  const post = async (body: object, signal?: AbortSignal): Promise<Answer> =>
    (
      await fetch(`${gateway.url}${chat}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'default', ...body }),
        ...(signal && { signal }),
      })
    ).json() as Promise<Answer>;
  const promptOf = (index = -1) => {
    const prompt = engine.requests.at(index)?.prompt;
    return prompt && 'segments' in prompt ? prompt.segments.map(({ text }) => text).join('') : '';
  };
  return { engine, embeddings, post, promptOf, gateway, [Symbol.asyncDispose]: () => gateway.drain() };
}

const messages = [
  { role: 'system', content: 'Brief.' },
  { role: 'user', content: 'zzzz qqqq' },
];
const texts = ['\u{10FFFF}'.repeat(90), { title: 'Second', text: `${'b'.repeat(380)}\nzzzz qqqq zzzz\n${'c'.repeat(380)}` }];

describe('autoglm.documents', () => {
  it('embed: puts the pieces that come nearest before the question, and says which', async () => {
    await using server = await start({ embeddings: {}, documents: { tokens_max: 100 } });
    const { autoglm } = await server.post({ messages, autoglm: { documents: { mode: 'embed', texts } } });
    expect(autoglm?.documents).toMatchObject({ mode: 'embed', model: 'mock-embeddings', documents: 2, chunks: 5, tokens_max: 100 });
    expect(autoglm?.documents?.['used']).toEqual([{ document: 1, start: 320, end: 396, score: expect.any(Number) }]);
    expect(server.promptOf()).toContain(`[2] Second\n${'b'.repeat(60)}\nzzzz qqqq zzzz\n\nzzzz qqqq`);
    expect(server.promptOf()).not.toContain('cccc');
    expect(server.embeddings?.requests[0]).toMatchObject({ truncate: true });
  });

  it('embed: encodes many pieces in several calls side by side', async () => {
    let running = 0;
    let most = 0;
    const beforeAnswer = async () => {
      most = Math.max(most, (running += 1));
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
    };
    await using server = await start({ embeddings: { beforeAnswer }, documents: { concurrency: 3 } });
    const { autoglm } = await server.post({
      messages,
      autoglm: { documents: { mode: 'embed', texts: Array.from({ length: 200 }, (_, index) => `Text ${index}.`) } },
    });
    expect(autoglm?.documents).toMatchObject({ chunks: 200 });
    expect([server.embeddings?.requests.length, most]).toEqual([7, 3]);
  });

  it('summarize: asks the model for each part, side by side, and puts what it says before the question', async () => {
    const waiting: (() => void)[] = [];
    const beforeToken = (index: number) =>
      index === 0 && waiting.length < 2
        ? new Promise<void>((resolve) => {
            waiting.push(resolve);
            if (waiting.length === 2) for (const open of waiting) open();
          })
        : undefined;
    await using server = await start({ engine: { beforeToken, tokens: ['sum', 'mary'] } });
    const { autoglm } = await server.post({
      messages,
      max_tokens: 5,
      stop: ['never'],
      autoglm: { documents: { mode: 'summarize', texts, tokens_max: 100 } },
    });
    expect(autoglm?.documents).toMatchObject({
      mode: 'summarize',
      documents: 2,
      summaries: 3,
      tokens_max: 100,
      summary_completion_tokens: 6,
    });
    expect(server.engine.requests.slice(0, 3).map(({ maxTokens, stop }) => [maxTokens, stop])).toEqual([
      [33, []],
      [33, []],
      [33, []],
    ]);
    expect(server.engine.requests).toHaveLength(4);
    expect(server.promptOf()).toContain('[1]\nsummary\n\n[2] Second\nsummary\nsummary\n\nzzzz qqqq');
    expect(server.engine.requests.at(-1)).toMatchObject({ maxTokens: 5, stop: ['never'] });
  });

  it('summarize: a part that was summarized beside other documents is not summarized again', async () => {
    await using server = await start({ cache: { enabled: true } });
    const ask = (...own: string[]) => server.post({ messages, temperature: 0, autoglm: { documents: { mode: 'summarize', texts: own } } });
    await ask('The same.', 'One.');
    expect(server.engine.requests).toHaveLength(3);
    await ask('The same.', 'Another.');
    // The other document's summary alone: the mock says of it what it said before, so that the answer is known, too.
    expect(server.engine.requests).toHaveLength(4);
  });

  it('lets go of every summary when the client leaves, or one fails', async () => {
    await using server = await start({ engine: { beforeToken: () => new Promise(() => {}) } });
    const left = new AbortController();
    const asked = server.post({ messages, autoglm: { documents: { mode: 'summarize', texts } } }, left.signal).catch(() => 'left');
    while (server.engine.runningCount < 3) await new Promise((resolve) => setImmediate(resolve));
    left.abort();
    await asked;
    while (server.engine.runningCount > 0) await new Promise((resolve) => setImmediate(resolve));
    let begun = 0;
    await using failing = await start({
      engine: { beforeToken: () => ((begun += 1) === 2 ? Promise.reject(new Error('broken')) : new Promise(() => {})) },
    });
    expect((await failing.post({ messages, autoglm: { documents: { mode: 'summarize', texts } } })).error).toMatchObject({
      code: 'internal_error',
    });
    while (failing.engine.runningCount > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('may be fitted, and passes the errors of who encodes on', async () => {
    await using server = await start({ engine: { model: { contextLength: 300 } }, embeddings: {} });
    const { autoglm } = await server.post({ messages, autoglm: { fit: true, documents: { mode: 'embed', texts } } });
    expect(autoglm).toMatchObject({ documents: { mode: 'embed' }, fitted: { prompt_tokens_max: 225 } });
    await using failing = await start({ embeddings: { beforeAnswer: () => Promise.reject(new Error('broken')) } });
    expect((await failing.post({ messages, autoglm: { documents: { mode: 'embed', texts } } })).error).toMatchObject({
      code: 'internal_error',
    });
  });

  it('is refused by the field where it cannot be done', async () => {
    await using server = await start({ documents: { pieces_max: 2 } });
    const refused = async (documents: unknown, more: object = { messages }) =>
      (await server.post({ ...more, autoglm: { documents } })).error;
    expect(await refused({ mode: 'embed', texts })).toMatchObject({ code: 'unsupported_feature', param: 'autoglm.documents.mode' });
    expect(await refused({ mode: 'embed', texts, model: 'nobody' })).toMatchObject({
      code: 'invalid_value',
      param: 'autoglm.documents.texts',
    });
    expect(await refused({ mode: 'embed', texts: ['a'], model: 'nobody' })).toMatchObject({ code: 'model_not_found' });
    expect(await refused({ mode: 'summarize', texts })).toMatchObject({ code: 'invalid_value', param: 'autoglm.documents.texts' });
    expect(await refused({ mode: 'summarize', texts: ['a'], tokens_max: 8 })).toMatchObject({
      code: 'invalid_value',
      param: 'autoglm.documents.tokens_max',
    });
    expect(await refused({ mode: 'summarize', texts: [' '] })).toMatchObject({ code: 'invalid_value', param: 'autoglm.documents.texts' });
    expect(await refused({ mode: 'summarize', texts, model: 'm' })).toMatchObject({
      code: 'invalid_value',
      param: 'autoglm.documents.model',
    });
    expect(await refused({ mode: 'embed', texts: [] })).toMatchObject({ code: 'invalid_value', param: 'autoglm.documents.texts' });
    expect(await refused({ mode: 'embed', texts: [{ body: 'a' }] })).toMatchObject({
      code: 'invalid_value',
      param: 'autoglm.documents.texts[0]',
    });
    expect(await refused({ texts })).toMatchObject({ code: 'missing_parameter', param: 'autoglm.documents.mode' });
    expect(await refused({ mode: 'read', texts })).toMatchObject({ code: 'invalid_value', param: 'autoglm.documents.mode' });
    expect(await refused({ mode: 'summarize', texts }, { messages: [{ role: 'assistant', content: 'a' }] })).toMatchObject({
      code: 'invalid_value',
      param: 'autoglm.documents',
    });
  });
});
