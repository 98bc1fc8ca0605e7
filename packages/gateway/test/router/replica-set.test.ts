import { AutoglmError, type GatewayRequest } from '@open-autoglm/protocol';
import { describe, expect, it } from 'vitest';
import { promptReplica } from '../../src/engines/prompt-replica.ts';
import { createMockEngine, defaultConfig, routerOptions } from '../../src/main.ts';
import { balancePolicies } from '../../src/router/balance/index.ts';
import { ReplicaSet } from '../../src/router/replica-set.ts';

const stream = { stream: true, prompts: [] } as unknown as GatewayRequest;
const whole = { ...stream, stream: false };

/** Two replicas that take turns, on a clock of our own. `ask` lets the next one answer after so long, and says who it is. */
function startSet() {
  let now = 0;
  const targets = ['one', 'two'].map((name) => ({
    replica: promptReplica(createMockEngine(), name),
    tier: 'edge',
    weight: 1,
    maxOutstanding: 8,
  }));
  const settings = { ...routerOptions(defaultConfig.router), slowFactor: 3, slowStartMs: 0 };
  const set = new ReplicaSet({ name: 'm', targets }, balancePolicies.round_robin, settings, { now: () => now, random: () => 0 });
  return {
    ask(request: GatewayRequest, durationOf: (name: string) => number): string {
      const member = set.begin(request, []);
      if (!member) throw new Error('nobody may be chosen');
      const { name } = member.target.replica;
      const durationMs = durationOf(name);
      const attempt = { place: -1, member, giveUp: () => {} };
      set.wait(attempt);
      now += durationMs;
      set.onFirstPart(attempt, request, durationMs);
      set.onEnd(attempt, 'answered');
      return name;
    },
  };
}

it('a probe that is silent for long keeps nobody out of a lone replica, and draws nobody in where there is another', () => {
  for (const names of [['one'], ['one', 'two']]) {
    let now = 0;
    const targets = names.map((name) => ({ replica: promptReplica(createMockEngine(), name), tier: 'edge', weight: 1, maxOutstanding: 8 }));
    const set = new ReplicaSet({ name: 'm', targets }, balancePolicies.round_robin, routerOptions(defaultConfig.router), {
      now: () => now,
      random: () => 0,
    });
    const failed = set.begin(stream, []);
    set.onFailure(
      { place: -1, member: failed as NonNullable<typeof failed>, giveUp: () => {} },
      stream,
      new AutoglmError('upstream_unreachable', 'gone'),
    );
    now += defaultConfig.router.health.eject_ms;
    const during = names.map(() => set.begin(stream, []));
    expect(during).toContain(failed);
    if (names.length === 1) expect(set.begin(stream, [])).toBeUndefined();
    now += defaultConfig.router.health.eject_ms;
    const later = set.begin(stream, []);
    expect(later).toBeDefined();
    expect(later === failed).toBe(names.length === 1);
  }
});

describe('a replica', () => {
  it('is not slow because it happened to give the whole answers, which take longer than the beginning of a stream', () => {
    const { ask } = startSet();
    const answered = Array.from({ length: 80 }, (_, index) => (index % 2 === 0 ? ask(stream, () => 10) : ask(whole, () => 500)));
    expect(answered).toEqual(answered.map((_, index) => (index % 2 === 0 ? 'one' : 'two')));
  });

  it.each([
    ['streams', stream],
    ['whole answers', whole],
  ])('is left alone when its %s are late', (_, request) => {
    const { ask } = startSet();
    const answered = Array.from({ length: 60 }, () => ask(request, (name) => (name === 'two' ? 500 : 10)));
    expect(answered.slice(0, 20)).toContain('two');
    // Ejected after ten answers; a second is more than the rest takes.
    expect(answered.slice(20)).not.toContain('two');
  });
});
