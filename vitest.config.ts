import path from 'node:path';
import { defineConfig } from 'vitest/config';

const env = {
  // The default model is converted once for all test files.
  AUTOGLM_HOME: path.resolve('.cache/autoglm'),
  AUTOGLM_THREADS: '1',
  // Tests start processes: each compiles only what none before it has.
  NODE_COMPILE_CACHE: path.resolve('.cache/compile'),
};
const integration = '**/test/**/*.integration.test.ts';
const contract = '**/test/**/*.contract.test.ts';
const common = { env, exclude: ['**/node_modules/**', '**/dist/**'], testTimeout: 60_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    projects: [
      { test: { ...common, name: 'unit', include: ['**/test/**/*.test.ts'], exclude: [...common.exclude, integration, contract] } },
      { test: { ...common, name: 'contract', include: [contract] } },
      // Engine processes want a core each: one file at a time.
      { test: { ...common, name: 'integration', include: [integration], fileParallelism: false } },
    ],
    maxWorkers: 2,
    globalSetup: 'tools/checks/temporary-folder.ts',
  },
});
