export { engineContract, type EngineUnderTest, type TestFramework } from './engine.ts';
export { replicaContract, type ReplicaUnderTest } from './replica.ts';
