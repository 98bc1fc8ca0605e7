export { engineContract, type EngineUnderTest, type TestFramework } from './engine.ts';
