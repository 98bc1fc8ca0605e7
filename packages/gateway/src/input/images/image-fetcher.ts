import { lookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { AutoglmError } from '@open-autoglm/protocol';
import { Agent } from 'undici';
import { isListed, isPrivate } from './addresses.ts';

export interface ImageFetcherOptions {
  /** Hosts that images are fetched from; of no other, whatever redirects there. */
  readonly hosts: readonly string[];
  /** Whether they may have addresses of this machine or of a private network. */
  readonly allowsPrivate: boolean;
  /** For all of an image, redirects included. */
  readonly timeoutMs: number;
  readonly bytesMax: number;
}

const redirectsMax = 3;
const connectionsMax = 16;

/** Fetches images that a request names by their address, from hosts that the configuration names. */
export class ImageFetcher {
  readonly #options: ImageFetcherOptions;
  readonly #agent: Agent;

  constructor(options: ImageFetcherOptions) {
    this.#options = options;
    this.#agent = new Agent({
      connections: connectionsMax,
      connect: { lookup: options.allowsPrivate ? undefined : publicLookup, timeout: options.timeoutMs } as object,
    });
  }

  /** Rejects with `invalid_value` for what may not or cannot be fetched, `payload_too_large`, or the signal's reason. */
  async fetch(address: string, param: string, signal: AbortSignal): Promise<SharedArrayBuffer> {
    const within = AbortSignal.any([signal, AbortSignal.timeout(this.#options.timeoutMs)]);
    const refuse = (reason: string, cause?: unknown) =>
      new AutoglmError('invalid_value', `Invalid value for '${param}': ${reason}.`, { param, cause });
    try {
      let url = this.#check(address, refuse);
      for (let redirects = 0; redirects <= redirectsMax; redirects += 1) {
        const { statusCode, headers, body } = await this.#agent.request({
          origin: url.origin,
          path: url.pathname + url.search,
          method: 'GET',
          headers: { accept: 'image/*' },
          signal: within,
        });
        const { location } = headers;
        if (statusCode >= 300 && statusCode < 400 && typeof location === 'string') {
          await body.dump();
          if (!URL.canParse(location, url.href)) throw refuse('it redirects to what is no address');
          url = this.#check(new URL(location, url.href).href, refuse);
          continue;
        }
        if (statusCode === 200) return await this.#read(body, Number(headers['content-length'] ?? 0), param);
        await body.dump();
        throw refuse(`its server answered with the status ${statusCode}`);
      }
      throw refuse(`it redirects more than ${redirectsMax} times`);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof AutoglmError) throw error;
      throw refuse(within.aborted ? `it did not come within ${this.#options.timeoutMs} ms` : 'it could not be fetched', error);
    }
  }

  #check(address: string, refuse: (reason: string) => AutoglmError): URL {
    const url = new URL(address);
    if (url.protocol !== 'https:' && url.protocol !== 'http:')
      throw refuse('an image must be a data URL, or have an address of http or https');
    if (url.username !== '' || url.password !== '') throw refuse('its address must not contain credentials');
    const { hosts, allowsPrivate } = this.#options;
    if (!isListed(url, hosts))
      throw refuse(`the host ${url.host} is none that this server fetches images from; send the image as a data URL`);
    const literal = url.hostname.replace(/^\[|\]$/g, '');
    // An address is connected to without being looked up.
    if (!allowsPrivate && isIP(literal) !== 0 && isPrivate(literal)) throw refuse(`the host ${url.host} is in a private network`);
    return url;
  }

  async #read(body: AsyncIterable<Buffer> & { destroy(): void }, announced: number, param: string): Promise<SharedArrayBuffer> {
    const { bytesMax } = this.#options;
    const tooLarge = () =>
      new AutoglmError('payload_too_large', `The image in '${param}' is larger than ${bytesMax} bytes (input.images.bytes_max).`, {
        param,
      });
    const chunks: Buffer[] = [];
    let size = 0;
    // Leaving the loop destroys the body.
    for await (const chunk of body) {
      size += chunk.length;
      if (size > bytesMax || announced > bytesMax) throw tooLarge();
      chunks.push(chunk);
    }
    const bytes = new SharedArrayBuffer(size);
    const view = new Uint8Array(bytes);
    let at = 0;
    for (const chunk of chunks) {
      view.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

/** Finds only addresses of the public internet, at the moment of connecting: a name may say something else a moment later. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    if (error) return callback(error, '', 0);
    const found = addresses.filter(({ address }) => !isPrivate(address));
    const [first] = found;
    if (!first) return callback(new Error(`${hostname} has no public address`), '', 0);
    if (options.all) (callback as unknown as (error: null, addresses: LookupAddress[]) => void)(null, found);
    else callback(null, first.address, first.family);
  });
};
