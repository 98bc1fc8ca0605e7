import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { mayMakeNamespaces, Wire } from '../../network-namespaces.ts';

const scriptOf = (file: string) => fileURLToPath(new URL(file, import.meta.url));

interface Said {
  readonly status: number;
  readonly tier: string | null;
  readonly ms: number;
  readonly body: {
    readonly autoglm?: { readonly degraded?: boolean; readonly cascade?: { readonly reason: string } };
    readonly engines?: readonly { readonly name: string; readonly status: string }[];
  };
}

describe.skipIf(!mayMakeNamespaces())('two network namespaces and a wire (skipped where they cannot be made)', () => {
  it('when the wire is cut the edge goes on alone and says so, and when it is mended the cloud answers again', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-cut-'));
    using wire = new Wire();
    try {
      const far = await wire.start(wire.far, scriptOf('./namespace-cloud.ts'), wire.farAddress);
      const file = path.join(folder, 'car.yaml');
      writeFileSync(
        file,
        JSON.stringify({
          server: { port: 0 },
          engines: [
            { kind: 'embedded' },
            { kind: 'openai', name: 'far', url: far.said, model: 'large', upstream_model: 'fake-model', timeouts: { connect_ms: 300 } },
          ],
          router: { health: { probe_interval_ms: 50, probe_timeout_ms: 200, eject_ms: 50, eject_max_ms: 100 } },
          // The mock is never sure enough: whoever can be asked above it is asked.
          tiers: {
            enabled: true,
            scores_min: { logprob: 0.99 },
            levels: [
              { tier: 'edge', model: 'default', first_token_ms: 60_000 },
              { tier: 'cloud', model: 'large', first_token_ms: 1500 },
            ],
          },
        }),
      );
      const near = await wire.start(wire.near, scriptOf('./namespace-car.ts'), file);
      const ask = async (what: string) => {
        near.child.send(what);
        const [said] = (await once(near.child, 'message')) as [Said];
        return said;
      };
      const chat = () => ask('/v1/chat/completions');
      const cloudIs = async (state: string) => {
        while ((await ask('/readyz')).body.engines?.find(({ name }) => name === 'far')?.status !== state);
      };
      /** A busy machine may answer a probe too late: then it is gone for a moment. */
      const byCloud = async () => {
        for (;;) {
          const said = await chat();
          if (said.tier === 'cloud') return said;
        }
      };
      await cloudIs('ready');
      expect(await byCloud()).toMatchObject({ status: 200 });
      wire.cut();
      expect(await chat()).toMatchObject({ status: 200, tier: 'edge', body: { autoglm: { degraded: true } } });
      await cloudIs('unreachable');
      const alone = await chat();
      expect(alone).toMatchObject({
        status: 200,
        tier: 'edge',
        body: { autoglm: { degraded: true, cascade: { reason: 'no tier above it can be reached: cloud' } } },
      });
      wire.mend();
      await cloudIs('ready');
      expect((await byCloud()).body.autoglm).not.toHaveProperty('degraded');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
