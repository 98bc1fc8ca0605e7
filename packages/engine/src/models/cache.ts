/** The cache folder, for programs that fill it or look into it. */
export { problemWithGguf } from './gguf-file.ts';
export { checkDiskSpace } from './disk-space.ts';
export { removeLeftovers } from './leftovers.ts';
export { takeLock } from './lock.ts';
export { modelFacts, type ModelFacts } from './model-facts.ts';
export type { KvWish } from './memory-need.ts';
export type { Quantization } from './prepare-options.ts';
export { findNamedModel, namedModels, type NamedModel } from './named-models.ts';
export {
  isFilePath,
  listPulled,
  parseReference,
  pulledPath,
  readPulled,
  recordPulled,
  referenceTo,
  type HubName,
  type PulledModel,
  type Repository,
} from './pulled-models.ts';
