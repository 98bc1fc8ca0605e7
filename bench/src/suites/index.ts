import { ablationSuite } from './ablation.ts';
import { admissionSuite } from './admission.ts';
import { cascadeSuite } from './cascade.ts';
import { batchingSuite } from './batching.ts';
import { cacheSuite } from './cache.ts';
import { constraintsSuite } from './constraints.ts';
import { embeddingsSuite } from './embeddings.ts';
import { contextSuite } from './context.ts';
import { engineSuite } from './engine.ts';
import { gatewaySuite } from './gateway.ts';
import { graphsSuite } from './graphs.ts';
import { inputSuite } from './input.ts';
import { imagesSuite } from './images.ts';
import { kvSuite } from './kv.ts';
import { observabilitySuite } from './observability.ts';
import { prejudgeSuite } from './prejudge.ts';
import { replaySuite } from './replay.ts';
import { routerSuite } from './router.ts';
import { semanticSuite } from './semantic.ts';
import { serverSuite } from './server.ts';
import { sinksSuite } from './sinks.ts';
import { speculationSuite } from './speculation.ts';
import type { Suite } from './suite.ts';
import { wireSuite } from './wire.ts';

/** One a line, in the order of the list that `npm run bench` prints. */
export const suites: readonly Suite[] = [
  engineSuite,
  embeddingsSuite,
  semanticSuite,
  batchingSuite,
  constraintsSuite,
  graphsSuite,
  kvSuite,
  observabilitySuite,
  speculationSuite,
  contextSuite,
  inputSuite,
  ablationSuite,
  serverSuite,
  gatewaySuite,
  prejudgeSuite,
  imagesSuite,
  routerSuite,
  cascadeSuite,
  admissionSuite,
  cacheSuite,
  replaySuite,
  sinksSuite,
  wireSuite,
];
