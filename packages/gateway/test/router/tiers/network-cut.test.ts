import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const [car, cloud] = [`agc${process.pid}`, `agd${process.pid}`];
const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
const canCut = mayMakeNamespaces();

/** Root on Linux, as in the tests' container. */
function mayMakeNamespaces(): boolean {
  const probe = `agp${process.pid}`;
  try {
    ip('netns', 'add', probe);
    ip('netns', 'del', probe);
    return true;
  } catch {
    return false;
  }
}

/** Two namespaces with one wire between them, and with nothing else. */
function layWire(): void {
  for (const name of [car, cloud]) ip('netns', 'add', name);
  ip('-n', car, 'link', 'add', 'wire', 'type', 'veth', 'peer', 'name', 'wire', 'netns', cloud);
  for (const [name, address] of [[car, '10.77.0.1/24'], [cloud, '10.77.0.2/24']] as const) {
    ip('-n', name, 'link', 'set', 'lo', 'up');
    ip('-n', name, 'addr', 'add', address, 'dev', 'wire');
    ip('-n', name, 'link', 'set', 'wire', 'up');
  }
}

function removeWire(): void {
  for (const name of [car, cloud]) {
    try {
      ip('netns', 'del', name);
    } catch {
      // It was not made.
    }
  }
}

async function startIn(namespace: string, file: string, argument: string): Promise<{ readonly child: ChildProcess; readonly said: unknown }> {
  const script = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn('ip', ['netns', 'exec', namespace, process.execPath, script, argument], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [said] = (await once(child, 'message')) as [unknown];
  return { child, said };
}

interface Said {
  readonly status: number;
  readonly tier: string | null;
  readonly ms: number;
  readonly body: { readonly autoglm?: { readonly degraded?: boolean; readonly cascade?: { readonly reason: string } }; readonly engines?: readonly { readonly name: string; readonly status: string }[] };
}

describe.skipIf(!canCut)('two network namespaces and a wire (skipped where they cannot be made)', () => {
  it('when the wire is cut the edge goes on alone and says so, and when it is mended the cloud answers again', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-cut-'));
    const children: ChildProcess[] = [];
    try {
      layWire();
      const far = await startIn(cloud, './namespace-cloud.ts', '10.77.0.2');
      children.push(far.child);
      const file = path.join(folder, 'car.yaml');
      writeFileSync(file, JSON.stringify({
        server: { port: 0 },
        engines: [{ kind: 'embedded' }, { kind: 'openai', name: 'far', url: far.said, model: 'large', upstream_model: 'fake-model', timeouts: { connect_ms: 300 } }],
        router: { health: { probe_interval_ms: 50, probe_timeout_ms: 200, eject_ms: 50, eject_max_ms: 100 } },
        // The mock is never sure enough: whoever can be asked above it is asked.
        tiers: { enabled: true, scores_min: { logprob: 0.99 }, levels: [{ tier: 'edge', model: 'default', first_token_ms: 60_000 }, { tier: 'cloud', model: 'large', first_token_ms: 1500 }] },
      }));
      const near = await startIn(car, './namespace-car.ts', file);
      children.push(near.child);
      const ask = async (what: string) => {
        near.child.send(what);
        const [said] = (await once(near.child, 'message')) as [Said];
        return said;
      };
      const chat = () => ask('/v1/chat/completions');
      const cloudIs = async (state: string) => {
        while ((await ask('/readyz')).body.engines?.find(({ name }) => name === 'far')?.status !== state);
      };
      await cloudIs('ready');
      expect(await chat()).toMatchObject({ status: 200, tier: 'cloud' });
      ip('-n', cloud, 'link', 'set', 'wire', 'down');
      expect(await chat()).toMatchObject({ status: 200, tier: 'edge', body: { autoglm: { degraded: true } } });
      await cloudIs('unreachable');
      const alone = await chat();
      expect(alone).toMatchObject({ status: 200, tier: 'edge', body: { autoglm: { degraded: true, cascade: { reason: 'no tier above it can be reached: cloud' } } } });
      ip('-n', cloud, 'link', 'set', 'wire', 'up');
      await cloudIs('ready');
      let back = await chat();
      while (back.tier !== 'cloud') back = await chat();
      expect(back.body.autoglm).not.toHaveProperty('degraded');
    } finally {
      for (const child of children) child.kill('SIGKILL');
      removeWire();
      rmSync(folder, { recursive: true });
    }
  });
});
