import { hash } from 'node:crypto';
import sharp, { type Sharp } from 'sharp';

export type ImageFormat = 'jpeg' | 'webp' | 'png';

export type ImageTask =
  | { readonly kind: 'hash'; readonly bytes: SharedArrayBuffer }
  | {
      readonly kind: 'encode';
      readonly bytes: SharedArrayBuffer;
      readonly pixelsMax: number;
      readonly decodedPixelsMax: number;
      readonly format: ImageFormat;
      readonly quality: number;
    };

/** `url` is undefined where the image is best left as it is. */
export type EncodedImage =
  | { readonly url: string | undefined; readonly bytes: number; readonly width: number; readonly height: number }
  | { readonly problem: 'pixels' | 'broken'; readonly reason: string };

// One image at a time in each thread: more threads are the pool's to have. What is decoded is not kept.
sharp.concurrency(1);
sharp.cache(false);
// Nothing that refers to other files, renders text or is seldom looked after is ever parsed.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({ operation: ['VipsForeignLoadJpeg', 'VipsForeignLoadPng', 'VipsForeignLoadWebp', 'VipsForeignLoadNsgif'] });

/** Runs in a thread of the pool. */
export default async function work(task: ImageTask): Promise<string | EncodedImage> {
  const bytes = new Uint8Array(task.bytes);
  return task.kind === 'hash' ? hash('sha256', bytes) : encode(bytes, task);
}

async function encode(
  bytes: Uint8Array,
  { pixelsMax, decodedPixelsMax, format, quality }: Extract<ImageTask, { kind: 'encode' }>,
): Promise<EncodedImage> {
  try {
    const image = sharp(bytes, { limitInputPixels: decodedPixelsMax, failOn: 'error', pages: 1 });
    // Of the header alone: nothing is decoded yet.
    const { width, height } = (await image.metadata()).autoOrient;
    if (width * height > decodedPixelsMax) return { problem: 'pixels', reason: `${width} × ${height}` };
    const scale = Math.min(1, Math.sqrt(pixelsMax / (width * height)));
    const resized =
      scale < 1
        ? image
            .autoOrient()
            .resize({ width: Math.max(1, Math.floor(width * scale)), height: Math.max(1, Math.floor(height * scale)), fit: 'inside' })
        : image.autoOrient();
    const { data, info } = await inFormat(resized, format, quality).toBuffer({ resolveWithObject: true });
    if (scale === 1 && data.length >= bytes.length) return { url: undefined, bytes: bytes.length, width, height };
    return { url: `data:image/${format};base64,${data.toString('base64')}`, bytes: data.length, width: info.width, height: info.height };
  } catch (error) {
    const { message } = error as Error;
    return { problem: /pixel limit/.test(message) ? 'pixels' : 'broken', reason: message.split('\n', 1)[0] as string };
  }
}

function inFormat(image: Sharp, format: ImageFormat, quality: number): Sharp {
  if (format === 'jpeg') return image.flatten({ background: '#ffffff' }).jpeg({ quality, chromaSubsampling: '4:4:4' });
  return format === 'webp' ? image.webp({ quality }) : image.png({ compressionLevel: 6 });
}
