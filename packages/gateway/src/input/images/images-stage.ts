import { AutoglmError, type ChatMessage, type GatewayRequest, type Stage } from '@open-autoglm/protocol';
import { deferred } from '../../common/deferred.ts';
import type { ModelCatalog } from '../../common/model-catalog.ts';
import type { ImageEncoder, ImageEncoding, PreparedImage } from './image-encoder.ts';
import type { ImageFetcher } from './image-fetcher.ts';

export interface ImagesStageOptions {
  readonly encoder: ImageEncoder;
  readonly fetcher: ImageFetcher;
  /** For a model's images. */
  readonly encodingOf: (model: string) => ImageEncoding;
  /** Of one image as it comes, and of images in a request. */
  readonly bytesMax: number;
  readonly imagesMax: number;
}

type Part = Readonly<Record<string, unknown>>;

/** An image in a message, as OpenAI writes it: `{"type": "image_url", "image_url": {"url": …}}`. */
interface Found {
  readonly message: number;
  readonly part: number;
  readonly url: string;
  readonly param: string;
}

interface Prepared extends Found {
  readonly bytesBefore: number;
  readonly image: PreparedImage;
}

/**
 * Makes images as small as the model needs them, before they go to another server. It costs no request without images anything but a look
 * at its messages. What became of them is in the answer's `autoglm.images`.
 */
export function createImagesStage(catalog: Pick<ModelCatalog, 'isRemote'>, options: ImagesStageOptions): Stage {
  return (request, next) => {
    const found = catalog.isRemote(request.model) ? imagesOf(request) : [];
    if (found.length === 0) return next(request);
    return deferred(async () => {
      const { model, signal, emit } = request;
      if (found.length > options.imagesMax)
        throw new AutoglmError(
          'invalid_value',
          `The request has ${found.length} images, and this server takes ${options.imagesMax} (input.images.images_max).`,
          { param: 'messages' },
        );
      const startedAt = performance.now();
      // All at once: how many are worked on at a time is the encoder's to bound. One that fails ends the others.
      const failed = new AbortController();
      const prepared = await Promise.all(
        found.map((image) => prepare(image, options, options.encodingOf(model), AbortSignal.any([signal, failed.signal]))),
      ).catch((error: unknown) => {
        failed.abort(error);
        throw error;
      });
      emit({ type: 'segment-end', segment: 'input', durationMs: performance.now() - startedAt, reason: 'images' });
      emit({ type: 'answer-note', name: 'images', value: noteOf(prepared) });
      return next(withImages(request, prepared));
    });
  };
}

function imagesOf({ input }: GatewayRequest): Found[] {
  if (input.kind !== 'chat') return [];
  return input.messages.flatMap(({ wire }, message) => {
    const content = wire?.['content'];
    if (!Array.isArray(content)) return [];
    return (content as readonly (Part | null)[]).flatMap((part, index) => {
      if (part?.['type'] !== 'image_url') return [];
      const image = part['image_url'];
      const url = (image as { url?: unknown } | null)?.url;
      const param = `messages[${message}].content[${index}].image_url.url`;
      if (typeof url !== 'string') throw new AutoglmError('invalid_value', `Invalid value for '${param}': must be a string.`, { param });
      return [{ message, part: index, url, param }];
    });
  });
}

async function prepare(
  found: Found,
  { encoder, fetcher, bytesMax }: ImagesStageOptions,
  encoding: ImageEncoding,
  signal: AbortSignal,
): Promise<Prepared> {
  const { url, param } = found;
  const bytes =
    url.slice(0, 5).toLowerCase() === 'data:'
      ? readDataUrl(url, param, bytesMax)
      : await fetcher.fetch(checkAddress(url, param), param, signal);
  const image = await encoder.prepare(bytes, encoding, param, signal);
  const isFetched = !url.slice(0, 5).toLowerCase().startsWith('data:');
  // A fetched image that is best as it is goes on as what was fetched: nobody fetches twice.
  const kept =
    image.url === undefined && isFetched
      ? { ...image, url: `data:${typeOf(bytes)};base64,${Buffer.from(new Uint8Array(bytes)).toString('base64')}` }
      : image;
  return { ...found, bytesBefore: bytes.byteLength, image: kept };
}

/** By the first bytes; it has been decoded, so it is one of these. */
function typeOf(bytes: SharedArrayBuffer): string {
  const [first] = new Uint8Array(bytes, 0, 1);
  if (first === 0xff) return 'image/jpeg';
  if (first === 0x89) return 'image/png';
  return first === 0x52 ? 'image/webp' : 'image/gif';
}

function checkAddress(url: string, param: string): string {
  if (URL.canParse(url)) return url;
  throw new AutoglmError(
    'invalid_value',
    `Invalid value for '${param}': must be a data URL such as "data:image/png;base64,…", or an address.`,
    { param },
  );
}

/** Into memory that threads share: it crosses to them without a copy. */
function readDataUrl(url: string, param: string, bytesMax: number): SharedArrayBuffer {
  const comma = url.indexOf(',');
  if (!/^data:(?:image\/[\w.+-]+)?(?:;[\w=.-]+)*;base64$/i.test(url.slice(0, Math.min(comma, 200)))) {
    throw new AutoglmError('invalid_value', `Invalid value for '${param}': must be a data URL such as "data:image/png;base64,…".`, {
      param,
    });
  }
  const size = Math.floor(((url.length - comma - 1) * 3) / 4);
  if (size > bytesMax)
    throw new AutoglmError('payload_too_large', `The image in '${param}' is larger than ${bytesMax} bytes (input.images.bytes_max).`, {
      param,
    });
  const decoded = Buffer.from(url.slice(comma + 1), 'base64');
  const bytes = new SharedArrayBuffer(decoded.length);
  new Uint8Array(bytes).set(decoded);
  return bytes;
}

/** The messages with other addresses in their images; everything else of them is the client's own. */
function withImages(request: GatewayRequest, prepared: readonly Prepared[]): GatewayRequest {
  const { input } = request;
  if (input.kind !== 'chat' || prepared.every(({ image }) => image.url === undefined)) return request;
  const messages = [...input.messages];
  for (const { message, part, image } of prepared) {
    if (image.url === undefined) continue;
    const { wire = {}, ...rest } = messages[message] as ChatMessage;
    const content = [...(wire['content'] as Part[])];
    content[part] = { ...content[part], image_url: { ...(content[part]?.['image_url'] as object), url: image.url } };
    messages[message] = { ...rest, wire: { ...wire, content } };
  }
  return { ...request, input: { kind: 'chat', messages } };
}

/** Which of them had been encoded before is not told: another tenant may have sent them. */
function noteOf(prepared: readonly Prepared[]): object {
  return {
    count: prepared.length,
    bytes_before: prepared.reduce((sum, { bytesBefore }) => sum + bytesBefore, 0),
    bytes: prepared.reduce((sum, { image }) => sum + image.bytes, 0),
  };
}
