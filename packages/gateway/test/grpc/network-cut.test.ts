import { once } from 'node:events';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { TierEvent } from '@open-autoglm/client/tiers';
import { describe, expect, it } from 'vitest';
import { mayMakeNamespaces, Wire } from '../network-namespaces.ts';
import { chatBody } from '../support.ts';
import { hasOpenssl, makeCertificates } from './support.ts';

const scriptOf = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** The near gateway's client: gives it states, and waits for what it is told. */
class Edge {
  readonly #child: ChildProcess;
  readonly #told: TierEvent[] = [];
  #count = 0;
  #wake = () => {};

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on('message', (event) => {
      this.#told.push(event as TierEvent);
      this.#wake();
    });
  }

  /** The number of the state. */
  update(content: string): number {
    this.#child.send({ ...chatBody, messages: [{ role: 'user', content }] });
    return (this.#count += 1);
  }

  async told<T extends TierEvent['type']>(
    state: number,
    level: string,
    ...types: readonly T[]
  ): Promise<Extract<TierEvent, { readonly type: T }>> {
    for (;;) {
      const found = this.#told.find(
        (event) => types.includes(event.type as T) && 'state' in event && event.state === state && event.level === level,
      );
      if (found) return found as Extract<TierEvent, { readonly type: T }>;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

describe.skipIf(!mayMakeNamespaces() || !hasOpenssl())(
  'two gateways in two network namespaces, and a wire (skipped where they cannot be made)',
  () => {
    it('when it is cut in a decision the near one goes on alone and says so, the far one lets go, and when it is mended both decide again', async () => {
      await using certificates = await makeCertificates();
      using wire = new Wire();
      const far = await wire.start(wire.far, scriptOf('./namespace-server.ts'), certificates.folder);
      const near = await wire.start(
        wire.near,
        scriptOf('./namespace-edge.ts'),
        JSON.stringify({ target: `${wire.farAddress}:${String(far.said)}`, folder: certificates.folder }),
      );
      const edge = new Edge(near.child);
      const running = async () => {
        far.child.send('running');
        return ((await once(far.child, 'message')) as [number])[0];
      };
      const usual = chatBody.messages[0]?.content as string;

      const first = edge.update(usual);
      const quick = await edge.told(first, 'quick', 'decision');
      expect(quick).toMatchObject({ text: 'perhaps.', supersedes: 0 });
      expect(await edge.told(first, 'full', 'decision')).toMatchObject({
        text: 'yes.',
        supersedes: quick.revision,
        confirms: false,
        answer: { object: 'chat.completion' },
      });

      const second = edge.update('for good');
      expect(await edge.told(second, 'full', 'delta')).toMatchObject({ text: 'yes' });
      expect(await running()).toBe(1);
      wire.cut();
      expect(await edge.told(second, 'full', 'problem')).toMatchObject({ code: 'upstream_unreachable', retryable: true });
      while ((await running()) !== 0);
      expect(await edge.told(edge.update(usual), 'quick', 'decision')).toMatchObject({ text: 'perhaps.' });

      wire.mend();
      let last = await edge.told(edge.update(usual), 'full', 'decision', 'problem');
      while (last.type === 'problem') last = await edge.told(edge.update(usual), 'full', 'decision', 'problem');
      expect(last).toMatchObject({ text: 'yes.' });
    });
  },
);
