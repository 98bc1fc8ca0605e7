import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isListed, isPrivate } from '../../src/input/images/addresses.ts';
import { ByteLru } from '../../src/input/images/byte-lru.ts';
import { scrape } from '../observability/scrape.ts';
import { fakeModel, startFakeBackend, type FakeBackend } from '../upstream/fake-backend.ts';
import { chat, startGatewayWith, type RemoteGateway } from '../upstream/support.ts';

const pixelsMax = 100_000;
let backend: FakeBackend;
let gateway: RemoteGateway;
let images: ImageServer;
beforeAll(async () => {
  backend = await startFakeBackend();
  images = await startImageServer();
  gateway = await startGatewayWith({
    engines: [
      { kind: 'openai', url: backend.url, model: fakeModel },
      { kind: 'openai', url: backend.url, model: 'sharp-eyed' },
      { kind: 'mock', model: 'blind' },
    ],
    input: {
      images: {
        enabled: true,
        pixels_max: pixelsMax,
        models: { 'sharp-eyed': { pixels_max: 400_000 } },
        bytes_max: 3_000_000,
        images_max: 4,
        decoded_pixels_max: 4_000_000,
        fetch: { hosts: [images.host], private_addresses: true, timeout_ms: 2000 },
      },
    },
  });
});
afterAll(async () => {
  await gateway.gateway.drain();
  await backend[Symbol.asyncDispose]();
  await images.close();
});

/** A picture with edges and a gradient, in which nothing is alike. */
async function picture(width: number, height: number, seed = 1): Promise<Buffer> {
  const raw = Buffer.alloc(width * height * 3);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) raw.set([(x * seed) % 256, (y * 3) % 256, (x ^ y) % 256], (y * width + x) * 3);
  return sharp(raw, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}
const dataUrl = (bytes: Buffer, type = 'image/png') => `data:${type};base64,${bytes.toString('base64')}`;
const asking = (urls: readonly string[], model = fakeModel) => ({
  model,
  messages: [
    {
      role: 'user',
      content: [{ type: 'text', text: 'What is this?' }, ...urls.map((url) => ({ type: 'image_url', image_url: { url, detail: 'low' } }))],
    },
  ],
});
const ask = async (...urls: string[]) => {
  const response = await gateway.post(chat, asking(urls));
  const body = (await response.json()) as {
    error?: { code: string; param: string; message: string };
    autoglm?: { images: { bytes: number; bytes_before: number; count: number } };
  };
  return { status: response.status, error: body.error, note: body.autoglm?.images };
};
const sent = () => {
  const { messages } = (backend.requests.at(-1) as (typeof backend.requests)[number]).body as unknown as {
    messages: { content: { type: string; image_url: { url: string; detail: string } }[] }[];
  };
  return messages[0]?.content ?? [];
};
const decoded = (url: string) => sharp(Buffer.from(url.slice(url.indexOf(',') + 1), 'base64')).metadata();

describe('images for another server’s model', () => {
  it('are scaled to the model’s pixels, encoded, and sent on in their places', async () => {
    const large = dataUrl(await picture(900, 600));
    const { status, note } = await ask(large, dataUrl(await picture(60, 40)));
    expect(status).toBe(200);
    const [text, first, second] = sent();
    expect(text).toEqual({ type: 'text', text: 'What is this?' });
    expect([first?.image_url.detail, second?.type]).toEqual(['low', 'image_url']);
    const { width, height, format } = await decoded(first?.image_url.url as string);
    expect([format, width, height]).toEqual(['jpeg', 387, 258]);
    expect(await decoded(second?.image_url.url as string)).toMatchObject({ width: 60, height: 40 });
    expect(note).toMatchObject({ count: 2 });
    await gateway.post(chat, asking([large], 'sharp-eyed'));
    expect(await decoded(sent()[1]?.image_url.url as string)).toMatchObject({ width: 774, height: 516 });
  });

  it('that are small enough already go on as they came', async () => {
    const jpeg = dataUrl(
      await sharp(await picture(200, 200, 7))
        .jpeg({ quality: 20 })
        .toBuffer(),
      'image/jpeg',
    );
    expect((await ask(jpeg)).status).toBe(200);
    expect(sent()[1]?.image_url.url).toBe(jpeg);
  });

  it('that were seen before are recognised, also those that come at once', async () => {
    const url = dataUrl(await picture(700, 500, 3));
    const worked = async () =>
      Number(/step_items_total\{step="preprocess",end="done"\} (\d+)/.exec(await (await fetch(`${gateway.url}/metrics`)).text())?.[1]);
    const before = await worked();
    const [first] = await Promise.all([ask(url), ask(url), ask(url, url)]);
    // Each is hashed, and one of them encoded.
    expect(await worked()).toBe(before + 4 + 1);
    const again = await ask(url);
    expect(await worked()).toBe(before + 5 + 1);
    // What others sent is nobody's to know.
    expect(again.note).toEqual(first.note);
    expect(Object.keys(again.note ?? {})).toEqual(['count', 'bytes_before', 'bytes']);
  });

  it.each([
    [
      'rotated by its header',
      async () =>
        sharp(await picture(400, 100))
          .jpeg()
          .withMetadata({ orientation: 6 })
          .toBuffer(),
      [100, 400],
    ],
    [
      'of WebP',
      async () =>
        sharp(await picture(400, 100))
          .webp()
          .toBuffer(),
      [400, 100],
    ],
    [
      'of GIF',
      async () =>
        sharp(await picture(400, 100))
          .gif()
          .toBuffer(),
      [400, 100],
    ],
  ])('%s are read', async (_, make, [width, height]) => {
    expect((await ask(dataUrl(await make(), 'image/any'))).status).toBe(200);
    const metadata = await decoded(sent()[1]?.image_url.url as string);
    expect([metadata.autoOrient.width, metadata.autoOrient.height]).toEqual([width, height]);
  });

  it('are refused by their field where they are none, and no other server is asked', async () => {
    const good = await picture(300, 300);
    const before = backend.requests.length;
    const param = 'messages[0].content[1].image_url.url';
    const refused: readonly (readonly [string, number, RegExp])[] = [
      [dataUrl(Buffer.from('no image at all')), 400, /no JPEG, PNG, WebP or GIF/],
      [dataUrl(good.subarray(0, good.length / 2)), 400, /no JPEG, PNG, WebP or GIF/],
      [
        dataUrl(
          Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>'),
          'image/svg+xml',
        ),
        400,
        /no JPEG, PNG/,
      ],
      ['data:image/png;base64,', 400, /no JPEG, PNG/],
      ['data:image/png,raw', 400, /must be a data URL/],
      ['data:text/html;base64,AAAA', 400, /must be a data URL/],
      ['nonsense', 400, /must be a data URL such as .* or an address/],
      ['file:///etc/passwd', 400, /address of http or https/],
      ['http://example.com/a.png', 400, /the host example\.com is none that this server fetches images from/],
      [`http://user:secret@${images.host}/good`, 400, /credentials/],
      [dataUrl(Buffer.alloc(3_000_100)), 413, /larger than 3000000 bytes/],
    ];
    for (const [url, status, message] of refused)
      expect(await ask(url)).toMatchObject({ status, error: { param, message: expect.stringMatching(message) } });
    expect((await ask(...Array.from({ length: 5 }, () => dataUrl(good)))).error).toMatchObject({
      param: 'messages',
      message: expect.stringContaining('5 images'),
    });
    expect(backend.requests.length).toBe(before);
  });

  it('without an address are refused, and the request ends as any other does', async () => {
    const image = { type: 'image_url', image_url: { detail: 'low' } };
    const response = await gateway.post(
      chat,
      { model: fakeModel, messages: [{ role: 'user', content: [image] }] },
      { headers: { 'x-request-id': 'no-address' } },
    );
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { error: { code: 'invalid_value', param: 'messages[0].content[0].image_url.url' } },
    ]);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-request-id': 'no-address',
      'server-timing': expect.stringContaining('total'),
    });
    expect((await scrape(gateway.url)).value('autoglm_active_requests')).toBe(0);
  });

  it('that would unpack to too many pixels are refused by their header', async () => {
    for (const bomb of [pngBomb(60_000, 60_000), pngBomb(2_000_000, 3)])
      expect(await ask(dataUrl(bomb))).toMatchObject({
        status: 413,
        error: { code: 'payload_too_large', message: expect.stringContaining('decoded_pixels_max') },
      });
    expect((await ask(dataUrl(await picture(30, 30)))).status).toBe(200);
  });

  it('garbled in any place are refused or read, and leave the threads alive', async () => {
    const whole = await picture(64, 64, 5);
    const urls: string[] = [];
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }), (changes) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        urls.push(dataUrl(bytes));
      }),
      { numRuns: 40 },
    );
    const statuses = await Promise.all(urls.map(async (url) => (await ask(url)).status));
    expect(statuses.filter((status) => ![200, 400, 413].includes(status))).toEqual([]);
    expect((await ask(dataUrl(whole))).status).toBe(200);
  });

  it('are fetched from hosts on the list, through redirects there and nowhere else', async () => {
    expect(await ask(`http://${images.host}/good`)).toMatchObject({ status: 200 });
    expect(await decoded(sent()[1]?.image_url.url as string)).toMatchObject({ format: 'jpeg' });
    expect(await ask(`http://${images.host}/moved`)).toMatchObject({ status: 200 });
    for (const [path, message] of [
      ['outside', /none that this server fetches/],
      ['round', /redirects more than 3 times/],
      ['missing', /status 404/],
      ['slow', /did not come within 2000 ms/],
      ['cut', /could not be fetched/],
      ['page', /no JPEG/],
    ] as const) {
      expect(await ask(`http://${images.host}/${path}`)).toMatchObject({ status: 400, error: { message: expect.stringMatching(message) } });
    }
    for (const path of ['endless', 'announced']) expect(await ask(`http://${images.host}/${path}`)).toMatchObject({ status: 413 });
  });

  it('are refused clearly where the model runs here', async () => {
    const response = await gateway.post(chat, asking([dataUrl(await picture(10, 10))], 'blind'));
    expect([response.status, await response.json()]).toMatchObject([
      422,
      { error: { code: 'unsupported_feature', param: 'messages[0].content[1].type' } },
    ]);
  });

  it('go on untouched where nothing is configured', async () => {
    await using plain = await startGatewayWith({ engines: [{ kind: 'openai', url: backend.url, model: fakeModel }] });
    await (await plain.post(chat, asking(['https://example.com/a.png']))).text();
    expect(sent()[1]?.image_url.url).toBe('https://example.com/a.png');
  });
});

describe('addresses', () => {
  it.each([
    '127.0.0.1',
    '10.1.2.3',
    '172.31.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '::1',
    '::',
    'fe80::1',
    'fd00::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '224.0.0.1',
    'x',
  ])('%s is private', (address) => expect(isPrivate(address)).toBe(true));
  it.each(['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:8.8.8.8'])('%s is public', (address) =>
    expect(isPrivate(address)).toBe(false),
  );
  it('are on the list by name, by port, or below a name', () => {
    const on = (url: string, ...list: string[]) => isListed(new URL(url), list);
    expect([
      on('http://a.b/x', 'a.b'),
      on('http://a.b:81/x', 'a.b:81'),
      on('http://a.b:81/x', 'a.b:80'),
      on('http://c.a.b/', '*.a.b'),
      on('http://a.b/', '*.a.b'),
      on('http://xa.b/', '*.a.b'),
      on('http://a.b.evil/', 'a.b'),
    ]).toEqual([true, true, false, true, false, false, false]);
    expect([
      on('http://a.b:81/x', 'a.b'),
      on('http://c.a.b:81/', '*.a.b'),
      on('http://c.a.b:81/', '*.a.b:81'),
      on('https://a.b:443/', 'a.b'),
    ]).toEqual([false, false, true, true]);
  });

  it('of private networks are refused although their host is on the list', async () => {
    await using strict = await startGatewayWith({
      engines: [{ kind: 'openai', url: backend.url, model: fakeModel }],
      input: { images: { enabled: true, fetch: { hosts: [images.host, `localhost:${images.port}`] } } },
    });
    for (const host of [images.host, `localhost:${images.port}`]) {
      const response = await strict.post(chat, asking([`http://${host}/good`]));
      expect([response.status, await response.json()]).toMatchObject([
        400,
        { error: { message: expect.stringMatching(/private network|could not be fetched/) } },
      ]);
    }
  });
});

describe('ByteLru', () => {
  it('keeps within its bytes, and what was used last', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 50 }),
        fc.array(fc.record({ key: fc.constantFrom(...'abcdef'), bytes: fc.nat(30), isRead: fc.boolean() })),
        (bytesMax, actions) => {
          const lru = new ByteLru<number>(bytesMax);
          let model: { key: string; bytes: number; value: number }[] = [];
          for (const [value, { key, bytes, isRead }] of actions.entries()) {
            const entry = model.find((each) => each.key === key);
            if (isRead) {
              expect(lru.get(key)).toBe(entry?.value);
              if (entry) model = [...model.filter((each) => each !== entry), entry];
              continue;
            }
            lru.set(key, value, bytes);
            model = model.filter((each) => each !== entry);
            if (bytes <= bytesMax) model.push({ key, bytes, value });
            while (model.reduce((sum, each) => sum + each.bytes, 0) > bytesMax) model.shift();
            expect(lru.bytes).toBe(model.reduce((sum, each) => sum + each.bytes, 0));
          }
        },
      ),
    );
  });
});

/** A PNG whose header promises more than it has. */
function pngBomb(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([1, 0, 0, 0, 0], 8);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.alloc(100_000))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const out = Buffer.alloc(8 + body.length);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), 4 + body.length);
  return out;
}

function crc32(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

interface ImageServer {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Serves images, well and badly. */
async function startImageServer(): Promise<ImageServer> {
  const good = await picture(800, 600, 11);
  const routes: Readonly<Record<string, RequestListener>> = {
    '/good': (_, response) => response.end(good),
    '/moved': (_, response) => response.writeHead(302, { location: '/good' }).end(),
    '/outside': (_, response) => response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end(),
    '/round': (_, response) => response.writeHead(302, { location: '/round' }).end(),
    '/slow': (_, response) => response.writeHead(200).flushHeaders(),
    '/cut': (_, response) => void response.writeHead(200, { 'content-length': 1000 }).write('x', () => response.destroy()),
    '/page': (_, response) => response.end('<html>'),
    '/announced': (_, response) => response.writeHead(200, { 'content-length': 50_000_000 }).write('x'),
    '/endless': (_, response) => {
      const write = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', write);
      write();
    },
  };
  const server = createServer((request, response) =>
    (routes[request.url ?? ''] ?? ((_, other) => other.writeHead(404).end()))(request, response),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}
