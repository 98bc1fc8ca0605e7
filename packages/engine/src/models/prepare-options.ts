import type { FetchPackages } from './npm-packages.ts';
import type { LocatePackage } from './weights-package.ts';

/** `model_config.quantization`. */
export type Quantization = 'none' | 'int8' | 'int4';

export interface ModelProgress {
  /** For people. */
  readonly phase: string;
  /** 0 … 1. */
  readonly fraction: number;
}

export interface PrepareOptions {
  /** Folder of converted models. */
  readonly home: string;
  /** What the weights become; each model has its own idea when not given. */
  readonly quantization?: Quantization | undefined;
  readonly onProgress?: ((progress: ModelProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly locatePackage?: LocatePackage | undefined;
  readonly fetchPackages?: FetchPackages | undefined;
}
