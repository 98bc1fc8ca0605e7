import { cruise, type ICruiseResult } from 'dependency-cruiser';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

interface Config {
  readonly forbidden: readonly { readonly name: string }[];
  readonly options: object;
}

const config = createRequire(import.meta.url)('../../.dependency-cruiser.cjs') as Config;

/** A file that breaks a rule: [rule, file, what it imports]. The imported files exist. */
const offences: readonly (readonly [rule: string, file: string, imported: string])[] = [
  ['no-cycles', 'packages/engine/src/a.ts', './b.ts'],
  ['protocol-imports-nothing', 'packages/protocol/src/node.ts', 'node:fs'],
  ['engine-imports-only-protocol', 'packages/engine/src/up.ts', '../../gateway/src/main.ts'],
  ['client-imports-only-protocol', 'packages/client/src/up.ts', '../../engine/src/b.ts'],
  ['apps-import-only-client', 'apps/console/src/down.ts', '../../../packages/protocol/src/index.ts'],
  ['nobody-imports-the-cli', 'packages/gateway/src/cli.ts', '../../cli/src/main.ts'],
  ['stages-do-not-know-each-other', 'packages/gateway/src/input/sideways.ts', '../output/b.ts'],
  ['only-the-path-and-main-know-the-stages', 'packages/gateway/src/common/up.ts', '../output/b.ts'],
  ['only-the-adapter-knows-the-engine', 'packages/gateway/src/router/engine.ts', '../../../engine/src/b.ts'],
  ['no-tests-in-programs', 'packages/engine/src/tested.ts', '../test/x.ts'],
  ['everything-resolves', 'packages/engine/src/lost.ts', './nowhere.ts'],
];

const others: Readonly<Record<string, string>> = {
  'packages/engine/src/b.ts': "import './a.ts';",
  'packages/engine/test/x.ts': 'export const x = 1;',
  'packages/gateway/src/main.ts': 'export const x = 1;',
  'packages/gateway/src/output/b.ts': 'export const x = 1;',
  'packages/cli/src/main.ts': 'export const x = 1;',
  'packages/protocol/src/index.ts': 'export const x = 1;',
};

describe('borders', () => {
  let folder: string;
  let broken: Set<string>;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'autoglm-borders-'));
    // The parser is found from where the files are.
    await symlink(path.resolve('node_modules'), path.join(folder, 'node_modules'));
    const files = {
      ...others,
      ...Object.fromEntries(
        offences.map(([, file, imported]) => [file, `import type * as x from '${imported}'; export type X = typeof x;`]),
      ),
    };
    for (const [file, text] of Object.entries(files)) {
      await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
      await writeFile(path.join(folder, file), text);
    }
    const { output } = await cruise(['packages', 'apps'], {
      ...config.options,
      baseDir: folder,
      validate: true,
      ruleSet: { forbidden: config.forbidden },
    } as never);
    broken = new Set((output as ICruiseResult).summary.violations.map(({ from, rule }) => `${rule.name} ${from}`));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('each have an offence here', () => {
    expect(offences.map(([rule]) => rule).toSorted()).toEqual(config.forbidden.map(({ name }) => name).toSorted());
  });

  it.each(offences)('%s fires', (rule, file) => {
    expect(broken).toContain(`${rule} ${file}`);
  });
});
