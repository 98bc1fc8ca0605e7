import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ToolCallReader, type ToolCallEvent } from '../../src/input/tool-call-reader.ts';

/** What the events say in all: pieces joined. */
function joined(events: readonly ToolCallEvent[]): { content: string; calls: { name: string; arguments: string }[] } {
  const calls: { name: string; arguments: string }[] = [];
  let content = '';
  for (const event of events) {
    if (event.type === 'content') content += event.text;
    else if (event.type === 'call') calls.push({ name: event.name, arguments: '' });
    else (calls.at(-1) as { arguments: string }).arguments += event.text;
  }
  return { content, calls };
}

const call = (name: string, json: string) => `<tool_call>\n{"name": "${name}", "arguments": ${json}}\n</tool_call>`;

describe('calls in a text', () => {
  it('are told from it in pieces of any size', () => {
    const content = fc
      .string({ unit: fc.constantFrom('<', 'tool', '_call', '>', ' ', '\n', '好', '{', '}', '<tool_cal') })
      .map((text) => text.replaceAll('<tool_call>', '').trim());
    const calls = fc.array(
      fc.tuple(fc.constantFrom('book', 'a-b_1'), fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue())),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(content, calls, fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (before, made, sizes) => {
        const written = made.map(([name, value]) => ({ name, arguments: JSON.stringify(value) }));
        const text = [before, ...written.map((one) => call(one.name, one.arguments))].join('\n');
        const reader = new ToolCallReader();
        const events: ToolCallEvent[] = [];
        for (let from = 0; from < text.length;) {
          const end = from + (sizes.next().value as number);
          events.push(...reader.push(text.slice(from, end)));
          from = end;
        }
        events.push(...reader.end());
        expect(joined(events)).toEqual({ content: before, calls: written });
        expect(reader.endsInCall).toBe(written.length > 0);
      }),
      { numRuns: 300 },
    );
  });

  it('come as soon as they can be told, and text at once', () => {
    const reader = new ToolCallReader();
    expect(reader.push('Hello')).toEqual([{ type: 'content', text: 'Hello' }]);
    expect(reader.push(' <tool')).toEqual([]);
    expect(reader.push('s>')).toEqual([{ type: 'content', text: ' <tools>' }]);
    expect(reader.push('\n<tool_call>\n{"name": "f", "argum')).toEqual([]);
    expect(reader.push('ents": {"a')).toEqual([
      { type: 'call', name: 'f' },
      { type: 'arguments', text: '{"a' },
    ]);
    expect(reader.endsInCall).toBe(false);
    expect(reader.push('": "}"}}\n</tool_call>')).toEqual([{ type: 'arguments', text: '": "}"}' }]);
    expect(reader.endsInCall).toBe(true);
  });
});
