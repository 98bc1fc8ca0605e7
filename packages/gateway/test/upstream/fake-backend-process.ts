import { say, startFakeBackend } from './fake-backend.ts';

/** A fake backend in a process of its own, so that it can be frozen and killed. Says where it listens. */
const backend = await startFakeBackend(say());
process.send?.(backend.url);
process.once('disconnect', () => process.exit());
