import { request } from 'undici';

export interface Asked {
  /** Of the requests' bodies. */
  readonly sentBytes: number;
  /** From the first request to the first text, ms. */
  readonly firstTextMs: number;
  /** Of the prompt; `cachedTokens` of them were known. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

interface Chunk {
  readonly choices: readonly { readonly delta: { readonly content?: string } }[];
  readonly usage?: { readonly prompt_tokens: number; readonly prompt_tokens_details: { readonly cached_tokens: number } } | null;
}

export interface Sent {
  readonly method: 'POST' | 'PATCH';
  readonly url: string;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends one request and gives its answer's headers and body. Throws where it was refused. */
export async function send({
  method,
  url,
  body,
  headers,
}: Sent): Promise<{ readonly headers: Readonly<Record<string, unknown>>; readonly text: string; readonly sentBytes: number }> {
  const encoded = JSON.stringify(body);
  const response = await request(url, { method, body: encoded, headers: { 'content-type': 'application/json', ...headers } });
  const text = await response.body.text();
  if (response.statusCode >= 300) throw new Error(`${method} ${url} was answered with ${response.statusCode}: ${text}`);
  return { headers: response.headers, text, sentBytes: Buffer.byteLength(encoded) };
}

/** Sends a request whose answer is a stream with usage, and reads it to its end. `before`: what was sent for it already, and since when. */
export async function askStream(
  { method, url, body, headers }: Sent,
  before: { readonly since: number; readonly sentBytes: number } = { since: performance.now(), sentBytes: 0 },
): Promise<Asked> {
  const encoded = JSON.stringify(body);
  const response = await request(url, { method, body: encoded, headers: { 'content-type': 'application/json', ...headers } });
  let text = '';
  let firstTextMs = NaN;
  for await (const piece of response.body) {
    text += String(piece);
    if (Number.isNaN(firstTextMs) && /"delta":\{"content":"[^"]/.test(text)) firstTextMs = performance.now() - before.since;
  }
  if (response.statusCode !== 200) throw new Error(`${url} was answered with ${response.statusCode}: ${text}`);
  const chunks = text
    .split('\n\n')
    .filter((event) => event.startsWith('data: {'))
    .map((event) => JSON.parse(event.slice('data: '.length)) as Chunk);
  const usage = chunks.findLast((chunk) => chunk.usage)?.usage;
  return {
    sentBytes: before.sentBytes + Buffer.byteLength(encoded),
    firstTextMs,
    promptTokens: usage?.prompt_tokens ?? NaN,
    cachedTokens: usage?.prompt_tokens_details.cached_tokens ?? NaN,
  };
}
