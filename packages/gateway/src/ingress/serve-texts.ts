import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { CacheWish, Lane, TextsRequest } from '@open-autoglm/protocol';
import type { AskCall } from '../common/asker.ts';
import type { Exchange } from '../common/exchange.ts';
import type { Followed } from '../common/followed.ts';
import type { RequestStart } from '../common/request-start.ts';
import type { TextsExchange } from '../common/texts-exchange.ts';
import type { Access, Demand } from './access.ts';
import type { JsonBody } from './body.ts';
import type { Hand, InHand } from './in-hand.ts';
import { estimateTexts } from './limits/estimate.ts';
import { abortAfter, runAsked, startOf, take } from './take.ts';

/** What every request about texts says, whatever it asks of them. */
export interface ParsedTexts {
  readonly model: string;
  readonly inputs: TextsRequest['inputs'];
  readonly tenant: string;
  readonly lane: Lane;
  /** Undefined: the request says nothing of it. */
  readonly cache: CacheWish | undefined;
  readonly deadlineMs: number | undefined;
}

/** A request on its way. */
export interface TextsCall<Parsed> extends Pick<Followed, 'emit' | 'traceContext'>, Pick<Exchange, 'requestId'> {
  readonly parsed: Parsed;
  readonly signal: AbortSignal;
}

/** What is asked of texts. */
export interface TextsOperation<Parsed extends ParsedTexts, Answer> {
  readonly name: RequestStart['operation'];
  readonly parse: (body: unknown, headers: IncomingHttpHeaders) => Parsed;
  /** All that an engine reads for it. */
  readonly textsOf: (parsed: Parsed) => TextsRequest['inputs'];
  readonly ask: (call: TextsCall<Parsed>) => Promise<Answer>;
  readonly respond: (exchange: TextsExchange<Parsed>, answer: Promise<Answer>) => Promise<void>;
}

export interface TextsParts {
  readonly access: Access;
  readonly follow: (start: RequestStart) => Followed;
}

/** An HTTP request about texts. */
interface TextsHttpCall {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly read: (signal: AbortSignal) => Promise<JsonBody>;
}

/** A request about texts that did not come over HTTP, and what comes back. */
export interface AskedTexts<Parsed, Answer> extends Pick<Exchange, 'requestId' | 'timings'> {
  readonly parsed: Parsed;
  readonly answer: Promise<Answer>;
}

/** What asks the same of many texts, and generates none: reads requests, sends them down their path, and has them answered. */
export class TextsRequests<Parsed extends ParsedTexts, Answer> {
  readonly #parts: TextsParts;
  readonly #inHand: InHand;
  readonly #operation: TextsOperation<Parsed, Answer>;

  constructor(parts: TextsParts, inHand: InHand, operation: TextsOperation<Parsed, Answer>) {
    this.#parts = parts;
    this.#inHand = inHand;
    this.#operation = operation;
  }

  /** Rejects with what is wrong with the request; whatever happens after it was read is told to the client. */
  async serve({ message, response, requestId, read }: TextsHttpCall): Promise<void> {
    const { access, follow } = this.#parts;
    const { name, parse, textsOf, ask, respond } = this.#operation;
    const start = startOf(message.headers, requestId, name);
    const followed = follow(start);
    const { emit, timings } = followed;
    const { hand, parsed, admission } = await take(
      { message, response, read, start, followed, access, inHand: this.#inHand },
      (value) => parse(value, message.headers),
      (asked) => demandOf(asked, textsOf(asked)),
    );
    const call = begin(parsed, requestId, followed, hand);
    const deadline = abortAfter(hand, parsed.deadlineMs);
    try {
      await respond({ parsed, requestId, response, timings, headers: admission?.headers, signal: call.signal, emit }, ask(call));
    } finally {
      clearTimeout(deadline);
      admission?.settle(timings.tokensUsed);
    }
  }

  /** As `Asker.run`. */
  run<T>(asked: Omit<AskCall, 'api'>, use: (asked: AskedTexts<Parsed, Answer>) => Promise<T>): Promise<T> {
    const { name, parse, textsOf, ask } = this.#operation;
    return runAsked(
      { ...asked, ...this.#parts, operation: name, inHand: this.#inHand, parse, demandOf: (parsed) => demandOf(parsed, textsOf(parsed)) },
      ({ requestId, parsed, followed, hand }) =>
        use({ requestId, timings: followed.timings, parsed, answer: ask(begin(parsed, requestId, followed, hand)) }),
    );
  }
}

function begin<Parsed extends ParsedTexts>(
  parsed: Parsed,
  requestId: string,
  { emit, traceContext }: Followed,
  hand: Hand,
): TextsCall<Parsed> {
  emit({ type: 'request-parsed', model: parsed.model, stream: false, maxTokens: undefined, choiceCount: 1 });
  return { parsed, requestId, signal: hand.abort.signal, emit, traceContext };
}

function demandOf({ model, tenant, lane }: ParsedTexts, texts: TextsRequest['inputs']): Demand {
  return { model, tenant, promptTokens: () => estimateTexts(texts), answerTokensMax: undefined, answerCount: 0, isBatch: lane === 'batch' };
}
