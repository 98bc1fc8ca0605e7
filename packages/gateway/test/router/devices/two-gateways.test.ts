import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stopClock } from '../../stopped-clock.ts';
import { startGatewayWith, until, type RemoteGateway } from '../../upstream/support.ts';

const token = 'a-token-of-the-devices';
const idle = { cpu: { cores: 4, load: 0 }, memory: { total_bytes: 100, free_bytes: 100 }, interval_ms: 50 };
let folder: string;
beforeAll(() => (folder = mkdtempSync(path.join(tmpdir(), 'autoglm-devices-'))));
afterAll(() => rmSync(folder, { recursive: true }));

interface Device {
  readonly child: ChildProcess;
  readonly url: string;
}

/** A gateway of its own process, which says how it is to `reportTo`. */
async function startDevice(id: string, reportTo: string): Promise<Device> {
  const file = path.join(folder, `${id}.yaml`);
  writeFileSync(
    file,
    JSON.stringify({ server: { port: 0 }, engines: [{ kind: 'mock', model: 'shared' }], devices: { enabled: true, interval_ms: 50 } }),
  );
  const child = fork(new URL('./gateway-process.ts', import.meta.url), [id, reportTo, file], {
    stdio: 'inherit',
    env: { ...process.env, DEVICE_TOKEN: token },
  });
  const [url] = (await once(child, 'message')) as [string];
  return { child, url };
}

async function stop({ child }: Device): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

const statesOf = async (server: RemoteGateway) => {
  const response = await fetch(`${server.url}/v1/devices`, { headers: { 'x-autoglm-device-token': token } });
  const { data } = (await response.json()) as { data: { id: string; state: string }[] };
  return Object.fromEntries(data.map(({ id, state }) => [id, state]));
};
const statesAre = async (server: RemoteGateway, expected: Record<string, string>) => {
  const states = await statesOf(server);
  return Object.entries(expected).every(([id, state]) => states[id] === state);
};
const askOnce = async (server: RemoteGateway) => {
  const response = await server.post('/v1/chat/completions', { model: 'shared', messages: [{ role: 'user', content: 'Hi' }] });
  return response.status === 200 ? response.headers.get('x-autoglm-engine') : response.status;
};

describe('two gateways that report to a third', () => {
  it('get its requests while they report; one that is frozen or killed gets none, and is out', async () => {
    using clock = stopClock();
    // Their addresses are only known when they run, and they must know where to report: the third is started twice, on one port.
    const engines = (urls: readonly string[]) =>
      urls.map((url, index) => ({
        kind: 'openai',
        name: `on-${index}`,
        device: `device-${index}`,
        url: `${url}/v1`,
        model: 'shared',
        tier: 'edge',
      }));
    const devices = { enabled: true, id: 'third', token_env: 'DEVICE_TOKEN', timeout_ms: 600 };
    const env = { DEVICE_TOKEN: token };
    const first = await startGatewayWith({ engines: engines(['http://127.0.0.1:9', 'http://127.0.0.1:9']), devices }, env);
    const { port } = new URL(first.url);
    const running = await Promise.all([startDevice('device-0', first.url), startDevice('device-1', first.url)]);
    try {
      await first[Symbol.asyncDispose]();
      await using server = await startGatewayWith(
        {
          server: { port: Number(port), drain_timeout_ms: 1 },
          engines: engines(running.map(({ url }) => url)),
          devices,
          router: { balance: 'devices', health: { probe_interval_ms: 3_600_000 } },
        },
        env,
      );
      // Who has reported since the clock last moved is alive, whatever else the machine does.
      const passUntil = (expected: Record<string, string>) =>
        until(() => {
          clock.pass(100);
          return statesAre(server, expected);
        });
      await until(() => statesAre(server, { 'device-0': 'alive', 'device-1': 'alive' }));
      await until(async () => {
        const answers = await Promise.all(Array.from({ length: 16 }, () => askOnce(server)));
        return answers.includes('on-0') && answers.includes('on-1');
      });
      // One that is frozen is there, as far as its connections show, and says nothing.
      running[0]?.child.kill('SIGSTOP');
      await passUntil({ 'device-0': 'out', 'device-1': 'alive' });
      for (let round = 0; round < 8; round += 1) expect(await askOnce(server)).toBe('on-1');
      running[0]?.child.kill('SIGCONT');
      await until(async () => (await Promise.all(Array.from({ length: 8 }, () => askOnce(server)))).includes('on-0'));
      await stop(running[0] as Device);
      await passUntil({ 'device-0': 'out', 'device-1': 'alive' });
      for (let round = 0; round < 8; round += 1) expect(await askOnce(server)).toBe('on-1');
      await stop(running[1] as Device);
      await passUntil({ 'device-1': 'out' });
      expect(await askOnce(server)).toBe(503);
    } finally {
      await Promise.all(running.map(stop));
    }
  });
});

describe('reports over HTTP', () => {
  const engines = [{ kind: 'mock', model: 'shared' }];
  const beat = (server: RemoteGateway, id: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${server.url}/v1/devices/${id}/heartbeat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });

  it('are taken, and can be seen', async () => {
    await using server = await startGatewayWith({ engines, devices: { enabled: true, id: 'own' } });
    expect((await beat(server, 'car-7', { ...idle, accepts: ['text'], latency_ms: 4 })).status).toBe(204);
    const { data } = (await server.get('/v1/devices')).body as { data: { id: string }[] };
    expect(data.find(({ id }) => id === 'car-7')).toMatchObject({
      object: 'device',
      state: 'alive',
      accepts: ['text'],
      latency_ms: 4,
      cpu: { cores: 4, load: 0 },
    });
    await until(async () => ((await server.get('/v1/devices')).body as { data: { id: string }[] }).data.some(({ id }) => id === 'own'));
  });

  it('need the token where there is one', async () => {
    await using server = await startGatewayWith(
      { engines, devices: { enabled: true, token_env: 'DEVICE_TOKEN' } },
      { DEVICE_TOKEN: token },
    );
    expect((await beat(server, 'a', idle)).status).toBe(401);
    expect((await beat(server, 'a', idle, { 'x-autoglm-device-token': `${token}x` })).status).toBe(401);
    expect((await beat(server, 'a', idle, { 'x-autoglm-device-token': token })).status).toBe(204);
    expect((await server.get('/v1/devices')).status).toBe(401);
  });

  it.each([
    ['no object', 7, 'invalid_json', null],
    ['no processor', { memory: idle.memory }, 'missing_parameter', 'cpu'],
    ['no cores', { ...idle, cpu: { cores: 0, load: 0 } }, 'invalid_value', 'cpu.cores'],
    ['negative memory', { ...idle, memory: { total_bytes: -1, free_bytes: 0 } }, 'invalid_value', 'memory.total_bytes'],
    ['an unknown key', { ...idle, fans: 3 }, 'unknown_parameter', 'fans'],
    ['an unknown kind', { ...idle, accepts: ['sound'] }, 'invalid_value', 'accepts[0]'],
  ])('are refused: %s', async (_, body, code, param) => {
    await using server = await startGatewayWith({ engines, devices: { enabled: true } });
    const response = await beat(server, 'a', body);
    expect(response.status).toBe(400);
    expect((await response.json()) as object).toMatchObject({ error: { code, param } });
  });

  it('are bounded in number and in size, and their ids checked', async () => {
    await using server = await startGatewayWith({ engines, devices: { enabled: true, id: 'own', devices_max: 2 } });
    await until(async () => ((await server.get('/v1/devices')).body as { data: object[] }).data.length === 1);
    expect((await beat(server, 'a', idle)).status).toBe(204);
    const third = await beat(server, 'b', idle);
    expect(third.status).toBe(429);
    expect(third.headers.get('retry-after')).toBe('60');
    expect((await beat(server, 'a', { ...idle, accelerators: 'x'.repeat(20_000) })).status).toBe(413);
    expect((await beat(server, '%20', idle)).status).toBe(400);
    expect((await beat(server, '%ff', idle)).status).toBe(400);
  });

  it('have no address where they are not wanted', async () => {
    await using server = await startGatewayWith({ engines });
    expect((await beat(server, 'a', idle)).status).toBe(404);
  });

  it('place by what a request is made of', async () => {
    await using elsewhere = await startGatewayWith({ engines });
    const placed = (['text', 'structured'] as const).map((kind) => ({
      kind: 'openai',
      name: `for-${kind}`,
      device: kind,
      url: `${elsewhere.url}/v1`,
      model: 'shared',
    }));
    await using server = await startGatewayWith({ engines: placed, devices: { enabled: true, id: 'own' }, router: { balance: 'devices' } });
    for (const kind of ['text', 'structured']) await beat(server, kind, { ...idle, accepts: [kind], interval_ms: 60_000 });
    expect(await askOnce(server)).toBe('for-text');
    const structured = await server.post('/v1/chat/completions', {
      model: 'shared',
      messages: [{ role: 'user', content: 'Hi' }],
      tools: [{ type: 'function', function: { name: 'book' } }],
    });
    expect(structured.headers.get('x-autoglm-engine') ?? structured.status).toBe('for-structured');
  });
});

describe('a configuration of devices is refused', () => {
  it.each([
    [
      'an engine on a device, and none that report',
      { engines: [{ kind: 'mock', model: 'a', device: 'b' }] },
      'devices.enabled is false, and the engine mock is on the device b',
    ],
    [
      'a token that is not set',
      { devices: { enabled: true, token_env: 'NOT_SET' } },
      'devices.token_env: the environment variable NOT_SET is not set',
    ],
    ['an id that is none', { devices: { enabled: true, id: 'a b' } }, 'devices.id'],
    ['an address that is none', { devices: { enabled: true, report_to: [{ url: 'gateway' }] } }, 'devices.report_to'],
    ['a weight below 0', { devices: { enabled: true, weights: { cpu: -1 } } }, 'devices.weights.cpu'],
  ])('%s', async (_, file, message) => {
    await expect(startGatewayWith({ engines: [{ kind: 'mock', model: 'a' }], ...file })).rejects.toThrow(message);
  });
});
