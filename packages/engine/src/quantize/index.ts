export { loadGgml } from '../ggml/library.ts';
export { readGgufHeader } from '../models/gguf-header.ts';
export { memoryNeed, type MemoryNeed } from '../models/memory-need.ts';
export { measuringTexts, type MeasuringText } from './measuring-text.ts';
export { measureQuality, type MeasureOptions, type TextQuality } from './quality.ts';
export {
  openSource,
  quantizeModel,
  targetTypes,
  type ModelSource,
  type QuantizedModel,
  type QuantizeOptions,
  type TargetType,
} from './quantize.ts';
export { usableThreads } from '../usable-threads.ts';
