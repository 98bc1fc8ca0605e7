import { say, startFakeBackend } from '../../upstream/fake-backend.ts';

/** A cloud in a network namespace: a fake backend at this address. */
const backend = await startFakeBackend(say(), 0, process.argv[2]);
process.send?.(backend.url);
process.once('disconnect', () => process.exit());
