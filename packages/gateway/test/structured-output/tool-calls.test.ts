import type { StreamPart } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { readToolCalls } from '../../src/input/read-tool-calls.ts';
import { chatBody, startTestServer, type TestServer } from '../support.ts';

const tools = [
  {
    type: 'function',
    function: {
      name: 'book',
      description: 'Books a wash',
      parameters: { type: 'object', properties: { time: { type: 'string' } }, required: ['time'] },
    },
  },
];
const said = ['好的。', '\n<tool_', 'call>\n{"name": "book", "arg', 'uments": {"time": "', '15:00"', '}}\n</tool_call>'];
const chat = '/v1/chat/completions';

/** Of the prompt that the engine got. */
function segmentsOf({ engine }: TestServer) {
  const prompt = engine.requests[0]?.prompt;
  return prompt && 'segments' in prompt ? prompt.segments : [];
}

describe('calls of tools in an answer', () => {
  it('come whole', async () => {
    await using server = await startTestServer({ tokens: said });
    const answer = (await (await server.post(chat, { ...chatBody, tools, n: 2 })).json()) as {
      choices: { message: { tool_calls: { id: string }[] } }[];
    };
    const call = {
      id: expect.stringMatching(/^call_\w{32}$/),
      type: 'function',
      function: { name: 'book', arguments: '{"time": "15:00"}' },
    };
    const choice = { message: { role: 'assistant', content: '好的。', refusal: null, tool_calls: [call] }, finish_reason: 'tool_calls' };
    expect(answer).toMatchObject({
      choices: [
        { index: 0, ...choice },
        { index: 1, ...choice },
      ],
      usage: { completion_tokens: 12 },
    });
    expect(answer.choices[0]?.message.tool_calls[0]?.id).not.toBe(answer.choices[1]?.message.tool_calls[0]?.id);
  });

  it('come in pieces, the name first', async () => {
    await using server = await startTestServer({ tokens: said });
    const text = await (await server.post(chat, { ...chatBody, tools, stream: true })).text();
    const choices = text
      .split('\n\n')
      .filter((event) => event.startsWith('data: {'))
      .map(
        (event) =>
          (JSON.parse(event.slice(6)) as { choices: { delta: Record<string, unknown>; finish_reason: string | null }[] }).choices[0],
      );
    expect(choices.map((choice) => choice?.delta)).toEqual([
      { role: 'assistant', content: '' },
      { content: '好的。' },
      { tool_calls: [{ index: 0, id: expect.stringMatching(/^call_/), type: 'function', function: { name: 'book', arguments: '' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '{"time": "' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '15:00"' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '}' } }] },
      {},
    ]);
    expect(choices.at(-1)?.finish_reason).toBe('tool_calls');
  });

  it('end for the reason length where they are cut', async () => {
    await using server = await startTestServer({ tokens: said });
    expect(await (await server.post(chat, { ...chatBody, tools, max_tokens: 4 })).json()).toMatchObject({
      choices: [{ message: { tool_calls: [{ function: { arguments: '{"time": "' } }] }, finish_reason: 'length' }],
    });
  });

  it('are text where there are no tools, or none is to be called', async () => {
    await using server = await startTestServer({ tokens: said });
    for (const body of [chatBody, { ...chatBody, tools, tool_choice: 'none' }]) {
      expect(await (await server.post(chat, body)).json()).toMatchObject({
        choices: [{ message: { content: said.join('') }, finish_reason: 'stop' }],
      });
    }
    expect(server.engine.requests.map(({ grammar }) => grammar)).toEqual([undefined, undefined]);
  });

  it.each([true, false])('are text as another server left it, which reads its own calls; streamed: %s', async (isStream) => {
    const parts: readonly StreamPart[] = [
      { type: 'text-start', index: 0 },
      { type: 'text-delta', index: 0, text: 'Write <tool_call> before', tokenCount: 3 },
      { type: 'text-delta', index: 0, text: ' it. ', tokenCount: 1 },
      { type: 'wire-delta', index: 0, delta: { tool_calls: [{ index: 0, id: 'theirs' }] }, choice: {}, answer: {} },
      { type: 'text-end', index: 0, finishReason: 'stop', completionTokens: 4, decodeMs: 0 },
    ];
    async function* come() {
      yield* parts;
    }
    expect(await Array.fromAsync(readToolCalls(come(), isStream))).toEqual(parts);
  });

  it.each([
    ['auto', undefined],
    ['required', 'required'],
    ['one of them', { type: 'function', function: { name: 'book' } }],
  ])('are asked of the engine as a grammar: %s', async (_, toolChoice) => {
    await using server = await startTestServer();
    await (
      await server.post(chat, {
        ...chatBody,
        tools: [...tools, { type: 'function', function: { name: 'other' } }],
        tool_choice: toolChoice,
        parallel_tool_calls: false,
      })
    ).text();
    const written = JSON.stringify(server.engine.requests[0]?.grammar);
    expect(written.includes('"kind":"text"')).toBe(toolChoice === undefined);
    expect(written.includes('other')).toBe(typeof toolChoice !== 'object');
    expect(written).toContain('"param":"tools[0].function.parameters"');
    expect(written).toContain('"max":1');
  });

  it('and their results are told to a template that knows nothing of them, in its text', async () => {
    await using server = await startTestServer();
    const messages = [
      { role: 'user', content: 'wash' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'book', arguments: '{"time":"<|im_end|>"}' } }],
      },
      { role: 'tool', tool_call_id: 'a', content: 'done' },
    ];
    await (await server.post(chat, { model: 'default', messages, tools })).text();
    const segments = segmentsOf(server);
    const prompt = segments.map(({ text }) => text).join('');
    expect(prompt).toContain('<|im_start|>system\n# Tools');
    expect(prompt).toContain(JSON.stringify(tools[0]));
    expect(prompt).toContain('<tool_call>\n{"name": "book", "arguments": {"time":"<|im_end|>"}}\n</tool_call>');
    expect(prompt).toContain('<|im_start|>user\n<tool_response>\ndone\n</tool_response><|im_end|>');
    // What stands in the arguments ended no turn: four messages, and the one to come.
    expect(segments.filter(({ kind }) => kind === 'control')).toHaveLength(9);
  });

  it('are told to a template that knows tools in its own words', async () => {
    const chatTemplate =
      '{% for tool in tools %}[{{ tool | tojson }}]{% endfor %}{% for m in messages %}{% for c in m.tool_calls %}<tool_call>{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}';
    await using server = await startTestServer({ model: { chatTemplate } });
    const messages = [
      {
        role: 'assistant',
        content: 'x',
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'book', arguments: '{"time":"1"}' } }],
      },
    ];
    await (
      await server.post(chat, {
        model: 'default',
        messages,
        tools: [{ type: 'function', function: { name: 'f', description: '<|im_end|>' } }],
      })
    ).text();
    const segments = segmentsOf(server);
    expect(segments).toEqual([
      {
        kind: 'text',
        text: '[{"type": "function", "function": {"name": "f", "description": "<|im_end|>", "parameters": {"type": "object", "properties": {}}}}]<tool_call>{"time": "1"}',
      },
    ]);
  });
});
