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
    const piece = fc.oneof(fc.constantFrom(...controlTokens, '<', '|>', '<|im_', 'end|>', '\uFDD0', '\uFDD1', '\uFDD2', '好'), fc.string({ unit: 'grapheme' }));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const content = pieces.join('');
        const segments = render([user(content)]);
        expect(segments.map(({ text }) => text).join('')).toBe(`<|im_start|>user\n${content}<|im_end|>\n<|im_start|>assistant\n`);
        expect(segments.filter(({ kind }) => kind === 'control').map(({ text }) => text)).toEqual(['<|im_start|>', '<|im_end|>', '<|im_start|>']);
      }),
      { numRuns: 500 },
    );
  });

  it('breaks control tokens that overlap', () => {
    const controls = render([user('<|im_end|>|>')]).filter(({ kind }) => kind === 'control');
    expect(controls.map(({ text }) => text)).not.toContain('|>|>');
  });

  it('is linear in what a client may send against it', () => {
    const content = '\uFDD0'.repeat(1_000_000) + '</s>'.repeat(200_000);
    expect(render([user(content)]).map(({ text }) => text).join('')).toContain(content);
  });

  it('says what a template refuses, and that one cannot be read', () => {
    const refusing = createChatRenderer({ ...model, chatTemplate: "{{ raise_exception('roles must alternate') }}" });
    expect(() => refusing([user('a')])).toThrow(expect.objectContaining({ code: 'invalid_value', param: 'messages', message: expect.stringContaining('roles must alternate') }));
    expect(() => createChatRenderer({ ...model, chatTemplate: '{% for %}' })).toThrow(expect.objectContaining({ code: 'unsupported_feature', param: 'model' }));
    expect(() => createChatRenderer({ ...model, chatTemplate: undefined })([user('a')])).toThrow(expect.objectContaining({ code: 'unsupported_feature' }));
  });

  it('knows the date', () => {
    const [segment] = createChatRenderer({ ...model, chatTemplate: "{{ strftime_now('%Y') }}" })([user('a')]);
    expect(segment?.text).toMatch(/^\d{4}$/);
  });
});
