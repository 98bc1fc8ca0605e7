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
const common = {
  env,
  exclude: ['**/node_modules/**', '**/dist/**'],
  // What they import is loaded once by each of two processes, and not anew for each file: no test replaces a module.
  isolate: false,
  // Ends what hangs: no test takes a tenth of it, and a busy machine must fail none.
  testTimeout: 180_000,
  hookTimeout: 180_000,
};

export default defineConfig({
  test: {
    projects: [
      { test: { ...common, name: 'unit', include: ['**/test/**/*.test.ts'], exclude: [...common.exclude, integration, contract] } },
      { test: { ...common, name: 'contract', include: [contract] } },
      { test: { ...common, name: 'integration', include: [integration] } },
    ],
    maxWorkers: 2,
    globalSetup: 'tools/checks/temporary-folder.ts',
  },
});
