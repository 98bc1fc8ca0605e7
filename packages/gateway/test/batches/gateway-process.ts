/** A gateway in a process of its own, so that it can be killed. Told where by its environment; says its port to its parent. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createMockEngine, defaultConfig, startGateway } from '../../src/main.ts';

const { SQLITE: sqlite, POSTGRES } = process.env;
const place = POSTGRES ? { postgres_url_env: 'POSTGRES' } : { sqlite_path: sqlite as string };
const gateway = await startGateway({
  config: {
    ...defaultConfig,
    server: { ...defaultConfig.server, port: 0 },
    batches: { ...defaultConfig.batches, ...place, concurrency: 4, lease_ms: 300 },
  },
  engine: createMockEngine({ beforeToken: (index) => (index === 0 ? sleep(10).then(() => {}) : undefined) }),
});
process.on('disconnect', () => process.exit(0));
process.send?.(gateway.url);
