import { engineSuite } from './engine.ts';
import { graphsSuite } from './graphs.ts';
import { kvSuite } from './kv.ts';
import { replaySuite } from './replay.ts';
import { serverSuite } from './server.ts';
import type { Suite } from './suite.ts';

export const suites: readonly Suite[] = [engineSuite, graphsSuite, kvSuite, serverSuite, replaySuite];
