import { loadConfig, startGateway } from '../../../src/main.ts';

/**
 * A gateway in a process of its own, with a mock engine, that reports itself elsewhere: started with its device's id and where to report.
 */
const [id = '', url = '', file = ''] = process.argv.slice(2);
const config = loadConfig({ file, env: {} });
const gateway = await startGateway({
  config: { ...config, devices: { ...config.devices, id, report_to: [{ url, token_env: 'DEVICE_TOKEN' }] } },
  env: process.env,
});
process.send?.(gateway.url);
process.once('disconnect', () => process.exit());
