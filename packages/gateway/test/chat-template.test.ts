import type { ChatMessage, ModelInfo } from '@open-autoglm/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createChatRenderer } from '../src/input/chat-template.ts';
import { createMockEngine } from '../src/main.ts';

const base = await createMockEngine().ready();
const controlTokens = ['<|im_start|>', '<|im_end|>', '|>|>', '</s>', '#'];
const model: ModelInfo = { ...base, controlTokens };
const user = (content: string): ChatMessage => ({ role: 'user', content });

describe('the chat template', () => {
  const render = createChatRenderer(model);

  it('keeps every user text whole and without control tokens', () => {
    const piece = fc.oneof(
      fc.constantFrom(...controlTokens, '<', '|>', '<|im_', 'end|>', '\uFDD0', '\uFDD1', '\uFDD2', '好'),
      fc.string({ unit: 'grapheme' }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const content = pieces.join('');
        const segments = render([user(content)]);
        expect(segments.map(({ text }) => text).join('')).toBe(`<|im_start|>user\n${content}<|im_end|>\n<|im_start|>assistant\n`);
        expect(segments.filter(({ kind }) => kind === 'control').map(({ text }) => text)).toEqual([
          '<|im_start|>',
          '<|im_end|>',
          '<|im_start|>',
        ]);
      }),
      { numRuns: 500 },
    );
  });

  it('makes no control token of texts that it puts side by side', () => {
    const joining = createChatRenderer({
      ...model,
      controlTokens: [...controlTokens, '𝄞end'],
      chatTemplate: '{% for message in messages %}{{ message.content }}{% endfor %}',
    });
    const piece = fc.constantFrom('<', '<|', '|', 'im_', 'end', 'end|>', '|>', '</', 's>', '<|im_end|>', '𝄞', '');
    fc.assert(
      fc.property(
        fc.array(
          fc.array(piece, { maxLength: 3 }).map((pieces) => pieces.join('')),
          { minLength: 1, maxLength: 6 },
        ),
        (contents) => {
          const text = contents.join('');
          expect(joining(contents.map(user))).toEqual(text === '' ? [] : [{ kind: 'text', text }]);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('keeps every call of a tool without control tokens, however its arguments write them', () => {
    const chatTemplate =
      '{# tools <tool_call> #}{% for message in messages %}{% for call in message.tool_calls %}{{ call.id }} {{ call.function.name }} {{ call.function.arguments | tojson }}{% endfor %}<|im_end|>{% endfor %}';
    const calls = createChatRenderer({ ...model, chatTemplate });
    const text = fc
      .array(fc.oneof(fc.constantFrom(...controlTokens, '<', '|im_end|>', '\uFDD0'), fc.string()), { maxLength: 6 })
      .map((pieces) => pieces.join(''));
    const escaped = (value: string) =>
      Array.from(value, (character) =>
        character.length === 1 ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : character,
      ).join('');
    fc.assert(
      fc.property(text, text, fc.boolean(), (id, value, isEscaped) => {
        const argument = `{"a": ["${isEscaped ? escaped(value) : JSON.stringify(value).slice(1, -1)}"]}`;
        const segments = calls([
          { role: 'assistant', content: '', toolCalls: [{ id, type: 'function', function: { name: 'f', arguments: argument } }] },
        ]);
        expect(segments.filter(({ kind }) => kind === 'control')).toEqual([{ kind: 'control', text: '<|im_end|>' }]);
        expect(segments.map((segment) => segment.text).join('')).toBe(`${id} f {"a": [${JSON.stringify(value)}]}<|im_end|>`);
      }),
      { numRuns: 500 },
    );
  });

  it('leaves arguments as they are that are no JSON, or too deep for a template', () => {
    const calls = createChatRenderer({
      ...model,
      chatTemplate: '{# tools <tool_call> #}{% for call in messages[0].tool_calls %}{{ call.function.arguments }}{% endfor %}',
    });
    for (const given of ['{"a": <|im_end|>', `${'['.repeat(100_000)}"</s>"${']'.repeat(100_000)}`]) {
      expect(
        calls([{ role: 'assistant', content: '', toolCalls: [{ id: '1', type: 'function', function: { name: 'f', arguments: given } }] }]),
      ).toEqual([{ kind: 'text', text: given }]);
    }
  });

  it('breaks control tokens that overlap', () => {
    const controls = render([user('<|im_end|>|>')]).filter(({ kind }) => kind === 'control');
    expect(controls.map(({ text }) => text)).not.toContain('|>|>');
  });

  it('is linear in what a client may send against it', () => {
    const content = '\uFDD0'.repeat(1_000_000) + '</s>'.repeat(200_000);
    expect(
      render([user(content)])
        .map(({ text }) => text)
        .join(''),
    ).toContain(content);
  });

  it('says what a template refuses, and that one cannot be read', () => {
    const refusing = createChatRenderer({ ...model, chatTemplate: "{{ raise_exception('roles must alternate') }}" });
    expect(() => refusing([user('a')])).toThrow(
      expect.objectContaining({ code: 'invalid_value', param: 'messages', message: expect.stringContaining('roles must alternate') }),
    );
    expect(() => createChatRenderer({ ...model, chatTemplate: '{% for %}' })).toThrow(
      expect.objectContaining({ code: 'unsupported_feature', param: 'model' }),
    );
    expect(() => createChatRenderer({ ...model, chatTemplate: undefined })([user('a')])).toThrow(
      expect.objectContaining({ code: 'unsupported_feature' }),
    );
  });

  it('knows the date', () => {
    const [segment] = createChatRenderer({ ...model, chatTemplate: "{{ strftime_now('%Y') }}" })([user('a')]);
    expect(segment?.text).toMatch(/^\d{4}$/);
  });
});
