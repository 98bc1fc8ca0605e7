import type { Stage } from '@open-autoglm/protocol';
import type { ModelCatalog } from '../../common/model-catalog.ts';
import type { InputSteps } from '../../common/steps/input-steps.ts';
import { ImageEncoder, type ImageEncoding } from './image-encoder.ts';
import { createImagesStage } from './images-stage.ts';

/** As the configuration has them. */
export interface ImagesOptions {
  readonly enabled: boolean;
  readonly pixels_max: number;
  readonly models: Readonly<Record<string, { readonly pixels_max: number }>>;
  readonly format: ImageEncoding['format'];
  readonly quality: number;
  readonly decoded_pixels_max: number;
  readonly bytes_max: number;
  readonly images_max: number;
  readonly cache_bytes: number;
  readonly fetch: { readonly hosts: readonly string[]; readonly private_addresses: boolean; readonly timeout_ms: number };
}

export interface Images {
  readonly stage: Stage;
  close(): Promise<void>;
}

/** Undefined where images go on as they came; the HTTP client is not loaded then. */
export async function openImages(options: ImagesOptions, steps: InputSteps, catalog: ModelCatalog): Promise<Images | undefined> {
  if (!options.enabled) return undefined;
  const { ImageFetcher } = await import('./image-fetcher.ts');
  const { models, format, quality, decoded_pixels_max: decodedPixelsMax, bytes_max: bytesMax, images_max: imagesMax, fetch } = options;
  const fetcher = new ImageFetcher({ hosts: fetch.hosts, allowsPrivate: fetch.private_addresses, timeoutMs: fetch.timeout_ms, bytesMax });
  const pixelsOf = (model: string) => (Object.hasOwn(models, model) ? models[model]?.pixels_max : undefined) ?? options.pixels_max;
  return {
    stage: createImagesStage(catalog, {
      encoder: new ImageEncoder(steps, options.cache_bytes),
      fetcher,
      bytesMax,
      imagesMax,
      encodingOf: (model) => ({ pixelsMax: pixelsOf(model), decodedPixelsMax, format, quality }),
    }),
    close: () => fetcher.close(),
  };
}
