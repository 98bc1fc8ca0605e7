import { AutoglmError, isObject } from '@open-autoglm/protocol';
import type { AskCall } from '../../common/asker.ts';
import { isNestedTooDeeply, nestingMax } from '../../common/nesting.ts';
import type { NewLine } from './store/batch-store.ts';
import { isText } from './store/schema.ts';

/** What a batch may ask for. */
export const endpoints = {
  '/v1/chat/completions': 'chat',
  '/v1/completions': 'completion',
  '/v1/embeddings': 'embeddings',
} as const satisfies Record<string, AskCall['api'] | 'embeddings'>;
export type Endpoint = keyof typeof endpoints;

/** What is wrong with an input file, in OpenAI's words. */
export interface LineError {
  readonly code: string;
  readonly line: number | null;
  readonly message: string;
  readonly param: string | null;
}

export interface LineBounds {
  readonly linesMax: number;
  readonly lineBytesMax: number;
}

/** More than these are not told. */
const errorsMax = 100;
const customIdMax = 512;
const fields: ReadonlySet<string> = new Set(['custom_id', 'method', 'url', 'body']);
const newline = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Reads an input file as its bytes come: its requests, and everything that is wrong with it. */
export class LineReader {
  readonly errors: LineError[] = [];
  readonly #endpoint: Endpoint;
  readonly #bounds: LineBounds;
  readonly #seen = new Map<string, number>();
  #rest: Buffer[] = [];
  #restBytes = 0;
  #number = 0;
  #requests = 0;

  constructor(endpoint: Endpoint, bounds: LineBounds) {
    this.#endpoint = endpoint;
    this.#bounds = bounds;
  }

  /** Requests read so far. */
  get count(): number {
    return this.#requests;
  }

  /** Nothing that comes now would be taken any more. */
  get isFull(): boolean {
    return this.errors.length >= errorsMax || this.#requests > this.#bounds.linesMax;
  }

  /** The requests that are complete with these bytes. */
  push(bytes: Uint8Array): NewLine[] {
    const lines: NewLine[] = [];
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1 && !this.isFull; end = chunk.indexOf(newline, start)) {
      this.#keep(chunk.subarray(start, end));
      this.#readInto(lines);
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  /** The last request, which needs no line break, and what is wrong with the file as a whole. */
  end(): NewLine[] {
    const lines: NewLine[] = [];
    if (this.#restBytes > 0 && !this.isFull) this.#readInto(lines);
    if (this.#requests > this.#bounds.linesMax)
      this.errors.push({
        code: 'too_many_requests',
        line: null,
        message: `The file has more than ${this.#bounds.linesMax} requests, which is the most of one batch (batches.lines_max).`,
        param: null,
      });
    else if (this.#requests === 0 && this.errors.length === 0)
      this.errors.push({ code: 'empty_file', line: null, message: 'The file has no requests.', param: null });
    return lines;
  }

  /** No more than a line may have; that it had more is remembered by its size. */
  #keep(bytes: Buffer): void {
    if (this.#restBytes <= this.#bounds.lineBytesMax) this.#rest.push(bytes);
    this.#restBytes += bytes.length;
  }

  #readInto(lines: NewLine[]): void {
    this.#number += 1;
    const size = this.#restBytes;
    const bytes = Buffer.concat(this.#rest);
    this.#rest = [];
    this.#restBytes = 0;
    if (size > this.#bounds.lineBytesMax)
      return this.#refuse(
        'line_too_large',
        `The line has ${size} bytes, and ${this.#bounds.lineBytesMax} is the most (batches.line_bytes_max).`,
      );
    let text: string;
    try {
      text = utf8.decode(bytes).trim();
    } catch {
      return this.#refuse('invalid_json_line', 'The line is not valid UTF-8.');
    }
    if (text === '') return;
    this.#requests += 1;
    const line = this.#check(text);
    if (line) lines.push(line);
  }

  #check(text: string): NewLine | void {
    if (isNestedTooDeeply(text)) return this.#refuse('invalid_json_line', `The line is nested more than ${nestingMax} deep.`);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      return this.#refuse('invalid_json_line', `The line is not valid JSON: ${(error as Error).message}`);
    }
    if (!isObject(value)) return this.#refuse('invalid_json_line', 'The line must be a JSON object.');
    const { custom_id: customId, method, url, body } = value;
    const unknown = Object.keys(value).find((key) => !fields.has(key));
    if (unknown !== undefined) return this.#refuse('unknown_parameter', `Unknown parameter: '${unknown}'.`, unknown);
    const missing = [...fields].find((key) => value[key] === undefined);
    if (missing !== undefined) return this.#refuse('missing_required_parameter', `Missing required parameter: '${missing}'.`, missing);
    if (typeof customId !== 'string' || customId === '' || customId.length > customIdMax || !customId.isWellFormed() || !isText(customId))
      return this.#refuse(
        'invalid_custom_id',
        `The custom_id must be a string of 1 to ${customIdMax} characters, none of them NUL.`,
        'custom_id',
      );
    if (method !== 'POST') return this.#refuse('invalid_method', 'The method must be POST.', 'method');
    if (url !== this.#endpoint) return this.#refuse('invalid_url', `The url must be the batch's endpoint, ${this.#endpoint}.`, 'url');
    if (!isObject(body)) return this.#refuse('invalid_body', 'The body must be a JSON object.', 'body');
    if (body['stream'] === true) return this.#refuse('invalid_body', 'A batch has no streams: leave out body.stream.', 'body.stream');
    const earlier = this.#seen.get(customId);
    if (earlier !== undefined)
      return this.#refuse(
        'duplicate_custom_id',
        `The custom_id ${JSON.stringify(customId)} is that of line ${earlier} already.`,
        'custom_id',
      );
    this.#seen.set(customId, this.#number);
    return { number: this.#number, custom_id: customId, request: JSON.stringify(body) };
  }

  #refuse(code: string, message: string, param: string | null = null): void {
    if (this.errors.length < errorsMax) this.errors.push({ code, line: this.#number, message, param });
  }
}

/** A line of the output or error file: what a request of its own would have been answered with. */
export function resultLine(id: string, customId: string, statusCode: number, requestId: string, body: string): string {
  return `{"id":${JSON.stringify(id)},"custom_id":${JSON.stringify(customId)},"response":{"status_code":${statusCode},"request_id":${JSON.stringify(requestId)},"body":${body}},"error":null}`;
}

/** Of a request that was never asked, or not to its end. */
export function unansweredLine(id: string, customId: string, code: 'batch_expired' | 'batch_cancelled'): string {
  const message =
    code === 'batch_expired'
      ? 'This request could not be executed before the completion window expired.'
      : 'This request was not executed, because the batch was cancelled.';
  return JSON.stringify({ id, custom_id: customId, response: null, error: { code, message } });
}

/** `30m`, `24h`. Throws `invalid_value`. */
export function windowMs(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,4})([smh])$/.exec(text) ?? [];
  const length = Number(count) * ({ s: 1000, m: 60_000, h: 3_600_000 }[unit ?? ''] ?? Number.NaN);
  if (length <= 7 * 24 * 3_600_000) return length;
  throw new AutoglmError(
    'invalid_value',
    'Invalid value for \'completion_window\': must be "24h", or another time of up to 168h such as "30m".',
    { param: 'completion_window' },
  );
}
