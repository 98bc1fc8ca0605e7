export { engineContract } from './engine.ts';
