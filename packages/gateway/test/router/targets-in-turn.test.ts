import { AutoglmError } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { BatchedEmbeddings } from '../../src/engines/batching/batched-embeddings.ts';
import { promptReplica } from '../../src/engines/prompt-replica.ts';
import { createMockEmbeddings, createMockEngine } from '../../src/main.ts';
import { TargetsInTurn, type TurnSettings } from '../../src/router/targets-in-turn.ts';
import { createGate, until } from '../support.ts';

const { signal } = new AbortController();
const call = { signal, request: { inputs: ['a'] } };

/** A server by its name, with mock engines. */
function targetOf(name: string, place: object = {}, engine = createMockEmbeddings()) {
  return { engine, target: { replica: promptReplica(createMockEngine(), name), tier: 'cloud', weight: 1, maxOutstanding: 100, ...place } };
}
type OwnTarget = ReturnType<typeof targetOf>;

function start(changes: Partial<TurnSettings> = {}) {
  const clock = { ms: 0 };
  const settings = {
    failuresMax: 3,
    openMsFirst: 1e6,
    openMsMax: 1e6,
    slowStartMs: 0,
    triesMax: 3,
    panics: true,
    retries: { ratio: 0, perSecond: 0 },
    now: () => clock.ms,
    random: () => 0.5,
    ...changes,
  };
  const turns = new TargetsInTurn<OwnTarget>(settings);
  const nameOf = ({ target }: OwnTarget) => target.replica.name;
  return {
    clock,
    turns,
    nameOf,
    ask: (model: { name: string; targets: OwnTarget[] }) => turns.ask(model, call, async (target) => nameOf(target)),
  };
}

describe('servers in turn', () => {
  it('have their turns by the model, whatever other models are asked for meanwhile', async () => {
    const { ask } = start();
    const [one, two] = ['one', 'two'].map((name) => ({ name, targets: [targetOf(`${name} a`), targetOf(`${name} b`)] })) as [
      { name: string; targets: OwnTarget[] },
      { name: string; targets: OwnTarget[] },
    ];
    const asked: string[] = [];
    for (let round = 0; round < 4; round += 1) asked.push(await ask(one), await ask(two));
    expect(asked.toSorted()).toEqual(['one a', 'one a', 'one b', 'one b', 'two a', 'two a', 'two b', 'two b']);
  });

  it('are asked as often as their weights say', async () => {
    const { ask } = start();
    const model = { name: 'm', targets: [targetOf('light'), targetOf('heavy', { weight: 3 })] };
    const asked = [];
    for (let count = 0; count < 40; count += 1) asked.push(await ask(model));
    expect(asked.filter((name) => name === 'heavy')).toHaveLength(30);
  });

  it('have no more at once than they take, and refuse what none has room for', async () => {
    const { turns } = start();
    const gate = createGate();
    const model = { name: 'm', targets: [targetOf('a', { maxOutstanding: 1 }), targetOf('b', { maxOutstanding: 1 })] };
    const ask = () => turns.ask(model, call, () => gate.passed);
    const held = [ask(), ask()];
    await expect(ask()).rejects.toMatchObject({ code: 'queue_full' });
    gate.open();
    await Promise.all(held);
    await ask();
  });

  it('are not asked where their device is not there, or takes no text', async () => {
    const { ask } = start();
    const away = { id: 'away', mayTake: (kind: string) => kind === 'image', score: () => 1 };
    const model = { name: 'm', targets: [targetOf('away', { device: away }), targetOf('here')] };
    expect([await ask(model), await ask(model)]).toEqual(['here', 'here']);
  });

  it('rest for as long as they ask for', async () => {
    const { turns, clock, nameOf } = start();
    const model = { name: 'm', targets: [targetOf('a'), targetOf('b')] };
    const asked: string[] = [];
    const ask = () =>
      turns.ask(model, call, async (target) => {
        asked.push(nameOf(target));
        if (nameOf(target) === 'a' && clock.ms === 0) throw new AutoglmError('rate_limit_exceeded', 'Later.', { retryAfterSeconds: 5 });
      });
    for (let count = 0; count < 4; count += 1) await ask();
    expect(asked).toEqual(['a', 'b', 'b', 'b', 'b']);
    clock.ms = 5000;
    await ask();
    expect(asked.at(-1)).toBe('a');
  });

  it('fail once where one call of many requests does, and one retry is paid for', async () => {
    const { turns, nameOf } = start({ failuresMax: 2 });
    const gate = createGate();
    let calls = 0;
    const failing = createMockEmbeddings({
      beforeAnswer: async () => {
        calls += 1;
        if (calls === 1) await gate.passed;
        if (calls === 2) throw new AutoglmError('upstream_error', 'The engine failed.');
      },
    });
    const engine = new BatchedEmbeddings(failing, { sizeMax: 512, timeoutMs: 60_000, waitingMax: 1000, batchShareMin: 0.1, now: () => 0 });
    const model = {
      name: 'm',
      targets: [
        targetOf('joins', { weight: 1000, maxOutstanding: 1000 }, engine as unknown as OwnTarget['engine']),
        targetOf('other', { maxOutstanding: 1000 }),
      ],
    };
    const ask = () =>
      turns.ask(model, call, async (target) => {
        await target.engine.embed({ id: 'r', inputs: ['a'] }, signal);
        return nameOf(target);
      });
    const first = ask();
    await until(() => calls === 1);
    // More than the retries that there are at once; the second of all has the other's turn.
    const others = Array.from({ length: 150 }, ask);
    gate.open();
    expect(await first).toBe('joins');
    expect(new Set(await Promise.all(others))).toEqual(new Set(['other']));
    expect(await ask()).toBe('joins');
  });
});
