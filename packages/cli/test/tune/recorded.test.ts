import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadConfig, startGateway } from '@open-autoglm/gateway';
import { readPolicyFile } from '@open-autoglm/gateway/cascade-policy';
import { expect, it } from 'vitest';
import { run } from '../support.ts';

it.each([true, false])('a policy is learned from what a gateway has recorded and was told, contents in the file: %s', async (contents) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'autoglm-recorded-'));
  const file = path.join(folder, 'outcomes.jsonl');
  const settings = path.join(folder, 'config.yaml');
  // JSON is YAML.
  writeFileSync(
    settings,
    JSON.stringify({
      server: { port: 0, drain_timeout_ms: 1 },
      engines: [
        { kind: 'mock', model: 'small', tier: 'edge' },
        { kind: 'mock', model: 'large', tier: 'cloud' },
      ],
      tiers: {
        enabled: true,
        record: { file, contents },
        levels: [
          { tier: 'edge', model: 'small', first_token_ms: 60_000, answer_ms: 60_000 },
          { tier: 'cloud', model: 'large', first_token_ms: 60_000 },
        ],
      },
    }),
  );
  const gateway = await startGateway({ config: loadConfig({ file: settings, env: {} }) });
  try {
    const post = async (at: string, body: object) =>
      (await (
        await fetch(`${gateway.url}${at}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
      ).json()) as { id: string };
    for (let index = 0; index < 64; index += 1) {
      const { id } = await post('/v1/chat/completions', {
        model: 'auto',
        messages: [{ role: 'user', content: `Number ${index}: ${'elephants '.repeat(index % 32)}` }],
      });
      // Of the last ones nobody says anything.
      if (index < 60) await post('/v1/cascade/feedback', { id, cheap_ok: index % 32 < 16, strong_ok: true });
    }
  } finally {
    await gateway.drain();
  }
  expect(/elephants/.test(readFileSync(file, 'utf8'))).toBe(contents);
  // One that was cut off, and one without words.
  appendFileSync(file, '{"id":"chatcmpl-1","at_\n{"id":"chatcmpl-2","at_ms":1,"prompt":""}\n');
  const out = path.join(folder, 'policy.json');
  const { code, stdout, stderr } = await run(['tune', 'cascade', file, '--out', out]);
  expect(code).toBe(0);
  expect(stderr).toContain('left out 2 lines');
  expect(stdout).toContain('60 questions; right answers of the cheap model .533');
  expect(readPolicyFile(out).answer?.gains).toHaveLength(101);
  // The same in two files, neither of which has enough, and the second of which begins with what was told of a question in the first.
  const recorded = readFileSync(file, 'utf8').split('\n');
  const parts = [recorded.slice(0, 41), recorded.slice(41)].map((lines, index) => {
    const part = path.join(folder, `part-${index}.jsonl`);
    writeFileSync(part, lines.join('\n'));
    return part;
  });
  expect(JSON.parse(recorded[41] as string)).toMatchObject({ cheap_ok: false });
  expect((await run(['tune', 'cascade', ...parts])).stdout).toContain('60 questions; right answers of the cheap model .533');
  expect((await run(['tune', 'cascade', parts[0] as string])).stderr).toMatch(
    /part-0\.jsonl has 20 outcomes; at least 50 are needed; 1 more have no cheap_ok/,
  );
  rmSync(folder, { recursive: true });
});
