/**
 * The request path. Read this first.
 *
 *   ingress    reads and checks the HTTP request; makes a GatewayRequest                 → 400, 404, 405, 413, 415, 422, 503 draining
 *     ↓
 *   output     pulls the parts and writes them as SSE or JSON; alone encodes errors      → every error below, in OpenAI's shape
 *     ↓
 *   prejudge   rules: answers itself, refuses, labels                                    → 403, 404 model, 409 duplicate, 413, 422
 *     ↓
 *   tiers      of the cascade's name: who may be trusted with it, cheapest first         → what kept the highest tier from answering
 *     ↓
 *   images     makes images smaller for models of other servers                          → 400 no image, 413 too large, 429 queue full
 *     ↓
 *   shorten reads documents, compresses, fits to the context, where that is asked for → 400 too long whatever is left out, 422 room unknown
 *     ↓
 *   input      waits for the model; chat template, prompts                               → 400 template, 404 model, 503 not ready
 *     ↓
 *   prefetch   sees what follows upon what, and asks ahead while nothing runs
 *     ↓
 *   cache      answers what it knows, and computes what is asked twice once               → 504 not cached, where nothing else was wanted
 *     ↓
 *   admission  waits for room, real time before batch; refuses what would wait in vain    → 429 queue full, deadline unreachable
 *     ↓
 *   router     chooses the engine                                                        → 404 model
 *     ↓
 *   engine     one sequence for each choice                                              → 400 too long, 429 queue full, 502 crashed
 *
 * Parts travel back up the same way. An error before the first part becomes the HTTP status; after it, a marked event in the
 * stream. The client leaving, a deadline and a forced shutdown abort `request.signal`; whoever waits at that moment throws the
 * signal's reason, and every stage's `finally` lets go of what it holds.
 */
import type { GatewayRequest, Next, Stage, StreamPart } from '@open-autoglm/protocol';
import type { Admission } from './admission/admission-stage.ts';
import { keepsNothing } from './common/not-cached.ts';
import type { ModelCatalog } from './common/model-catalog.ts';
import { createInputStage } from './input/input-stage.ts';
import { createShortenStage, type ShortenOptions } from './input/shorten-stage.ts';
import { createRouter, type RouterOptions } from './router/router-stage.ts';

export type RequestPath = (request: GatewayRequest) => AsyncIterable<StreamPart>;

/** Stages that are only there where the configuration has them. */
export interface OptionalStages {
  readonly prejudge?: Stage | undefined;
  readonly images?: Stage | undefined;
  readonly tiers?: Stage | undefined;
  readonly cache?: Stage | undefined;
  readonly prefetch?: Stage | undefined;
}

/** The stages in order, outermost first. `output` is above all: it owns the response. */
export function createRequestPath(
  catalog: ModelCatalog,
  admission: Admission,
  router: RouterOptions,
  shorten: ShortenOptions,
  { prejudge, tiers, images, prefetch, cache }: OptionalStages = {},
): RequestPath {
  const stages = [
    prejudge,
    tiers,
    images,
    createShortenStage(catalog, shorten),
    createInputStage(catalog),
    prefetch,
    cache ?? keepsNothing,
    admission.stage,
  ].filter((stage) => stage !== undefined);
  return compose(stages, createRouter(catalog, router));
}

/** Nests the stages around the last one. */
export function compose(stages: readonly Stage[], last: Next): Next {
  return stages.reduceRight<Next>((next, stage) => (request) => stage(request, next), last);
}
