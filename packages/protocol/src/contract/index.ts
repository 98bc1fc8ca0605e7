export { classificationEngineContract, type ClassificationEngineUnderTest } from './classification-engine.ts';
export { embeddingEngineContract, type EmbeddingEngineUnderTest } from './embedding-engine.ts';
export { engineContract, type EngineUnderTest, type TestFramework } from './engine.ts';
export { replicaContract, type ReplicaUnderTest } from './replica.ts';
