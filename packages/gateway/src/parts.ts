/** The gateway's parts, for a program that measures them alone. */
export { Opened } from './common/opened.ts';
export { createMessagePackStream, decodeMessagePack, encodeMessagePack, encodeMessagePackFloat32 } from './common/message-pack.ts';
export { ImageEncoder } from './input/images/image-encoder.ts';
export { createInputSteps } from './common/steps/input-steps.ts';
export { compileRules } from './prejudge/compile-rules.ts';
export { costOf, learn, noCosts, type BatchCost } from './engines/batching/batch-costs.ts';
export { decideBatch } from './engines/batching/batch-size.ts';
