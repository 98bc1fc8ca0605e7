import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Conversation, type Decide, type Level } from '../../src/ingress/grpc/conversation.ts';
import type { TierDecision as Decision, TierServerMessage as ServerMessage } from '@open-autoglm/protocol';

const levels: readonly Level[] = ['quick', 'middle', 'full'].map((name) => ({ name, model: name, maxTokens: undefined }));
const body = (content: string) => ({ messages: [{ role: 'user', content }] });
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));
/** Everything that was resolved has had its consequences. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

interface Pending {
  readonly model: string;
  readonly signal: AbortSignal;
  say(text: string): void;
  decide(text: string): void;
  fail(): void;
}

/** A conversation whose decisions are made when the test says so. */
function begin() {
  const pending: Pending[] = [];
  const sent: ServerMessage[] = [];
  const decide: Decide = ({ model }, signal, onText) =>
    new Promise((resolve, reject) => {
      pending.push({
        model: model as string,
        signal,
        say: (text) =>
          void Promise.resolve()
            .then(() => onText(text))
            .catch(reject),
        decide: (text) => resolve({ text, answer: { text }, tier: 'edge', engine: 'test' }),
        fail: () => reject(new Error('broken')),
      });
      signal.addEventListener('abort', () => reject(signal.reason as Error));
    });
  const conversation = new Conversation({ levels, stateBytesMax: 10_000, decide, send: (message) => void sent.push(message) });
  return {
    conversation,
    pending,
    sent,
    finals: () => sent.flatMap((message) => ('decision' in message && message.decision.final ? [message.decision] : [])),
  };
}

describe('a conversation between tiers', () => {
  it('decides at every level, and each final decision says which one it replaces', async () => {
    const { conversation, pending, finals } = begin();
    conversation.receive({ hello: { levels: [] } });
    conversation.receive({ state: { version: 1, document: bytes(body('hi')) } });
    for (const level of pending) level.decide(level.model === 'full' ? 'better' : 'good');
    await settled();
    expect(finals()).toMatchObject([
      { level: 'quick', revision: 1, supersedes: 0, confirms: false },
      { level: 'middle', revision: 2, supersedes: 1, confirms: true },
      { level: 'full', revision: 3, supersedes: 2, confirms: false, text: 'better' },
    ]);
  });

  it('gives up what is not final when the state moves on, and says so of what it had begun to tell', async () => {
    const { conversation, pending, sent } = begin();
    conversation.receive({ hello: { levels: ['quick', 'full'] } });
    conversation.receive({ state: { version: 1, document: bytes(body('hi')) } });
    pending[0]?.say('he');
    await settled();
    conversation.receive({ state: { version: 2, patch: bytes([{ op: 'replace', path: '/messages/0/content', value: 'bye' }]) } });
    expect(pending.slice(0, 2).every(({ signal }) => signal.aborted)).toBe(true);
    expect(sent.filter((message) => 'retraction' in message)).toEqual([{ retraction: { revision: 1, reason: 'the state has moved on' } }]);
  });

  it('lets go of a run that it has given up though the client does not read', async () => {
    const ended: string[] = [];
    const decide: Decide = async (body, _, onText) => {
      try {
        for (;;) await onText('more');
      } finally {
        ended.push((body as { messages: [{ content: string }] }).messages[0].content);
      }
    };
    const conversation = new Conversation({
      levels: levels.slice(0, 1),
      stateBytesMax: 10_000,
      decide,
      send: (message) => ('decision' in message ? new Promise<void>(() => {}) : undefined),
    });
    conversation.receive({ hello: { levels: [] } });
    for (let version = 1; version <= 5; version += 1) {
      conversation.receive({ state: { version, document: bytes(body(String(version))) } });
      await settled();
    }
    expect(ended).toEqual(['1', '2', '3', '4']);
  });

  it('asks for the document when a patch is on a state that it does not have', () => {
    const { conversation, sent } = begin();
    conversation.receive({ hello: { levels: [] } });
    conversation.receive({ state: { version: 4, patch: bytes([]) } });
    conversation.receive({ state: { version: 5, document: bytes(body('hi')) } });
    conversation.receive({ state: { version: 7, patch: bytes([]) } });
    expect(sent.flatMap((message) => ('resend' in message ? [message.resend.haveVersion] : []))).toEqual([0, 5]);
  });

  it('refuses a state that is none, and keeps the one before', () => {
    const { conversation, sent, pending } = begin();
    conversation.receive({ hello: { levels: ['quick'] } });
    conversation.receive({ state: { version: 1, document: bytes(body('hi')) } });
    const bad: readonly (readonly [object, string])[] = [
      [{ version: 2, document: Buffer.from('{"messages"') }, 'invalid_json'],
      [{ version: 2, document: Buffer.from([0x22, 0xff, 0x22]) }, 'invalid_json'],
      [{ version: 2, document: bytes([1]) }, 'invalid_json'],
      [{ version: 2, document: bytes({ n: 2 }) }, 'invalid_value'],
      [{ version: 2, document: bytes({ ...body('hi'), max_tokens: 9, max_completion_tokens: 5 }) }, 'invalid_parameter_combination'],
      [{ version: 2, document: bytes(body('x'.repeat(10_000))) }, 'payload_too_large'],
      [{ version: 2, document: Buffer.from(`{"messages":${'['.repeat(2000)}${']'.repeat(2000)}}`) }, 'invalid_value'],
      [{ version: 2, patch: bytes([{ op: 'add', path: '/messages/0/content/-', value: 1 }]) }, 'patch_not_applicable'],
      [{ version: 2, patch: bytes([{ op: 'add', path: '/__proto__/x', value: 1 }]) }, 'invalid_value'],
      [{ version: 1, document: bytes(body('again')) }, 'invalid_value'],
      [{ version: 2 }, 'missing_parameter'],
    ];
    for (const [state] of bad) conversation.receive({ state: state as never });
    expect(sent.flatMap((message) => ('problem' in message ? [message.problem.code] : []))).toEqual(bad.map(([, code]) => code));
    conversation.receive({ state: { version: 2, patch: bytes([{ op: 'test', path: '/messages/0/content', value: 'hi' }]) } });
    expect(pending).toHaveLength(2);
  });

  it('tells no stale and no lesser decision, whatever the order in which states, texts, decisions and failures come', async () => {
    const step = fc.record({ kind: fc.constantFrom('state', 'say', 'decide', 'fail'), which: fc.nat(20) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { conversation, pending, sent } = begin();
        conversation.receive({ hello: { levels: [] } });
        let version = 0;
        for (const { kind, which } of steps) {
          const run = pending[which % Math.max(1, pending.length)];
          if (kind === 'state') conversation.receive({ state: { version: (version += 1), document: bytes(body(String(version))) } });
          else if (kind === 'say') run?.say('a');
          else if (kind === 'decide') run?.decide(String(which));
          else run?.fail();
          await settled();
          expect(pending.filter(({ signal }) => !signal.aborted).length).toBeLessThanOrEqual(levels.length * Math.max(1, version));
        }
        check(sent);
      }),
      { numRuns: 200 },
    );
  });
});

/** Reads what was sent as a client would. */
function check(sent: readonly ServerMessage[]): void {
  const over = new Set<number>();
  let lastVersion = 0;
  let final: Decision | undefined;
  let highest = 0;
  for (const message of sent) {
    if ('retraction' in message) over.add(message.retraction.revision);
    if ('problem' in message && message.problem.revision) over.add(message.problem.revision);
    if (!('decision' in message)) continue;
    const { decision } = message;
    expect(over.has(decision.revision)).toBe(false);
    expect(decision.stateVersion).toBeGreaterThanOrEqual(lastVersion);
    lastVersion = decision.stateVersion;
    highest = Math.max(highest, decision.revision);
    if (!decision.final) continue;
    expect(decision.supersedes).toBe(final?.revision ?? 0);
    if (final?.stateVersion === decision.stateVersion)
      expect(levels.findIndex(({ name }) => name === decision.level)).toBeGreaterThan(
        levels.findIndex(({ name }) => name === final?.level),
      );
    final = decision;
    over.add(decision.revision);
  }
}
