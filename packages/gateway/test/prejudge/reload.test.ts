import { mkdtempSync, readFileSync, rmSync, symlinkSync, unlinkSync, writeFileSync, mkdirSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { LiveRules, type RulesEvent } from '../../src/prejudge/live-rules.ts';
import { createGate, until } from '../support.ts';
import { startRuledServer } from './support.ts';

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));
const newFolder = () => {
  folders.push(mkdtempSync(path.join(tmpdir(), 'autoglm-live-')));
  return folders.at(-1) as string;
};
const yaml = (...names: string[]) => JSON.stringify({ rules: names.map((name) => ({ name, find: { literals: [name] }, refuse: {} })) });

async function open(file: string): Promise<{ rules: LiveRules; events: RulesEvent[]; names: () => string }> {
  const events: RulesEvent[] = [];
  const rules = await LiveRules.open({ file, scanCharactersMax: 1000, settleMs: 1, onEvent: (event) => events.push(event) });
  return { rules, events, names: () => rules.current.rules.map(({ name }) => name).join() };
}

describe('LiveRules', () => {
  it('follows a file that is written in place, replaced, removed and brought back', async () => {
    const file = path.join(newFolder(), 'rules.yaml');
    writeFileSync(file, yaml('a'));
    const { rules, events, names } = await open(file);
    writeFileSync(file, yaml('b'));
    await until(() => names() === 'b');
    writeFileSync(`${file}~`, yaml('c'));
    renameSync(`${file}~`, file);
    await until(() => names() === 'c');
    unlinkSync(file);
    await until(() => events.at(-1)?.type === 'refused');
    expect(names()).toBe('c');
    writeFileSync(file, yaml('d', 'e'));
    await until(() => names() === 'd,e');
    rules.close();
  });

  it('follows a link that is turned to another folder, as Kubernetes does it', async () => {
    const folder = newFolder();
    for (const version of ['1', '2']) {
      mkdirSync(path.join(folder, version));
      writeFileSync(path.join(folder, version, 'rules.yaml'), yaml(`v${version}`));
    }
    symlinkSync('1', path.join(folder, '..data'));
    symlinkSync('..data/rules.yaml', path.join(folder, 'rules.yaml'));
    const { rules, names } = await open(path.join(folder, 'rules.yaml'));
    expect(names()).toBe('v1');
    symlinkSync('2', path.join(folder, '..new'));
    renameSync(path.join(folder, '..new'), path.join(folder, '..data'));
    await until(() => names() === 'v2');
    rules.close();
  });

  it('keeps the rules before when a file is wrong, says why once, and takes the next that is right', async () => {
    const file = path.join(newFolder(), 'rules.yaml');
    writeFileSync(file, yaml('a'));
    const { rules, events, names } = await open(file);
    writeFileSync(`${file}~`, 'rules:\n  - name: b\n    fnd: {}\n    refuse: {}');
    renameSync(`${file}~`, file);
    await until(() => events.length === 2);
    expect(events[1]).toMatchObject({
      type: 'refused',
      reason: expect.stringMatching(/rules\.yaml:3: unknown key "rules\[0\]\.fnd"; did you mean "find"/),
    });
    expect(names()).toBe('a');
    writeFileSync(path.join(path.dirname(file), 'another'), '');
    writeFileSync(`${file}~`, yaml('c'));
    renameSync(`${file}~`, file);
    await until(() => names() === 'c');
    expect(events.map(({ type }) => type)).toEqual(['loaded', 'refused', 'loaded']);
    rules.close();
  });
});

describe('a server whose rules change', () => {
  it('drops no request: those under way go on, new ones are judged by the new rules', async () => {
    const gate = createGate();
    const log = path.join(newFolder(), 'log');
    await using server = await startRuledServer(
      [{ name: 'a', find: { literals: ['aaa'] }, refuse: {} }],
      { beforeToken: (_, request) => (JSON.stringify(request.prompt).includes('slow') ? gate.passed : undefined) },
      log,
    );
    const slow = Array.from({ length: 8 }, () => server.ask('slow', { stream: true }));
    await until(() => server.engine.runningCount === 8);
    const statuses: number[] = [];
    const done = new AbortController();
    const load = (async () => {
      while (!done.signal.aborted) statuses.push((await server.ask('bbb')).status);
    })();
    server.save('rules: [{name: broken}]');
    await until(async () => (await server.metrics('autoglm_rule_files_total{result="refused"} 1')).length === 1);
    expect((await server.ask('aaa')).status).toBe(403);
    server.save([{ name: 'b', find: { literals: ['bbb'] }, refuse: {} }]);
    await until(() => statuses.at(-1) === 403);
    done.abort();
    await load;
    // Never an error, and never back.
    expect(statuses.filter((status) => status !== 200 && status !== 403)).toEqual([]);
    expect(statuses.slice(statuses.indexOf(403)).every((status) => status === 403)).toBe(true);
    expect((await server.ask('aaa')).status).toBe(200);
    gate.open();
    for (const response of await Promise.all(slow)) expect(await response.text()).toMatch(/data: \[DONE\]\n\n$/);
    await until(
      () => readFileSync(log, 'utf8').includes('rules loaded') && readFileSync(log, 'utf8').includes('rules[0] has no condition'),
    );
  });

  it('answers while hundreds of rules are read and compiled', async () => {
    await using server = await startRuledServer([{ name: 'a', find: { literals: ['aaa'] }, refuse: {} }]);
    const rule = (index: number) => ({
      name: `rule-${index}`,
      find:
        index % 2
          ? { patterns: [`(?:ask|tell) .{0,20}word${index}s? \\d{2,8}`] }
          : { literals: [`a phrase of number ${index}`, `the other ${index}`] },
      refuse: {},
    });
    const wrong = { name: 'wrong', find: { patterns: ['('] }, refuse: {} };
    const answeredUntil = async (isDone: () => Promise<boolean>) => {
      let answered = 0;
      for (; !(await isDone()); answered += 1) expect((await server.ask('bbb')).status).toBe(200);
      return answered;
    };
    server.save([...Array.from({ length: 300 }, (_, index) => rule(index)), wrong]);
    // As long as it takes, some other requests are through it: the event loop is never held for all of it.
    expect(
      await answeredUntil(async () => (await server.metrics('autoglm_rule_files_total{result="refused"} 1')).length === 1),
    ).toBeGreaterThan(20);
    server.save(Array.from({ length: 300 }, (_, index) => rule(index)));
    expect(await answeredUntil(async () => (await server.metrics('autoglm_rules 300')).length === 1)).toBeGreaterThan(20);
    expect((await server.ask('Tell me of word7 1234')).status).toBe(403);
  });

  it('says where a large file is wrong', async () => {
    const file = path.join(newFolder(), 'rules.yaml');
    writeFileSync(file, yaml('a'));
    const { rules, events } = await open(file);
    const lines = Array.from({ length: 500 }, (_, index) => `  - {name: r${index}, find: {literals: [x${index}]}, refuse: {}}`);
    writeFileSync(`${file}~`, ['rules:', ...lines, "  - {name: last, find: {patterns: ['(']}, refuse: {}}"].join('\n'));
    renameSync(`${file}~`, file);
    await until(() => events.length === 2);
    expect(events[1]).toMatchObject({
      type: 'refused',
      reason: expect.stringMatching(/rules\.yaml:502: rules\[500\]\.find\.patterns\[0\] is no pattern in RE2's syntax/),
    });
    rules.close();
  });
});
