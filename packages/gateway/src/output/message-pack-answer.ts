import type { ServerResponse } from 'node:http';
import type { StreamPart, TextDeltaPart, TextEndPart, WireDeltaPart } from '@open-autoglm/protocol';
import type { Exchange } from '../common/exchange.ts';
import {
  createMessagePackStream,
  encodeMessagePack,
  jsonValue,
  messagePackContentType,
  type MessagePackForm,
} from '../common/message-pack.ts';
import { AttentionMaps } from './attention-maps.ts';
import { ByteWriter } from './event-writer.ts';
import { chatLogprobs, completionLogprobs } from './logprobs.ts';
import { sendParts, type PartEncoder } from './send-parts.ts';
import { Usage } from './usage.ts';

/** What an ended stream ends with, as an SSE stream does: a connection that was cut ends with something else. */
const done = '[DONE]';

/** Ends a stream, after one more value where there is one. */
export function endMessagePackStream(response: ServerResponse, last: Buffer = Buffer.alloc(0)): void {
  response.end(Buffer.concat([last, encodeMessagePack(done, 'plain')]));
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Writes parts as a sequence of MessagePack values, one after the other with nothing in between: the chunks that OpenAI's server-sent
 * events have as JSON, and "[DONE]". The values delimit themselves, as in msgpackr's streams.
 */
export class MessagePackAnswer implements PartEncoder<Buffer> {
  readonly contentType: string;
  readonly usage: Usage;
  readonly attention = new AttentionMaps();
  readonly #exchange: Exchange;
  readonly #isChat: boolean;
  readonly #pack: (value: object) => Buffer;
  /** Characters sent of each choice, for the offsets of completion logprobs. */
  readonly #lengths: number[] = [];
  #open: number;
  /** The end of the last choice, until the usage is known. */
  #lastChoice: object | undefined;

  constructor(exchange: Exchange, form: MessagePackForm) {
    const { request, format } = exchange;
    this.#exchange = exchange;
    this.contentType = messagePackContentType(form);
    this.#pack = createMessagePackStream(form);
    this.#isChat = format.api === 'chat';
    this.usage = new Usage(request.choiceCount);
    this.#open = (request.input.kind === 'chat' ? 1 : request.input.prompts.length) * request.choiceCount;
  }

  send(parts: AsyncIterable<StreamPart>, beforeFirst: () => void): Promise<void> {
    const { response, request } = this.#exchange;
    return sendParts(this.#exchange, parts, this, new ByteWriter(response, request.signal), beforeFirst);
  }

  end(): void {
    endMessagePackStream(this.#exchange.response);
  }

  encode(part: StreamPart): Buffer | undefined {
    switch (part.type) {
      case 'prompt-end':
      case 'text-start':
        return this.#isChat ? this.#chunk([choice(part.index, { delta: { role: 'assistant', content: '' } })]) : undefined;
      case 'text-delta':
        return this.#delta(part.index, part);
      case 'reasoning-delta':
        return this.#isChat ? this.#chunk([choice(part.index, { delta: { [part.field ?? 'reasoning_content']: part.text } })]) : undefined;
      case 'wire-delta':
        return this.#wire(part);
      case 'usage':
        return undefined;
      case 'text-end':
        this.#open -= 1;
        return this.#finish(part);
    }
  }

  /** As of events. It is the one chunk that stages have a say in: what they say is taken for what JSON would make of it. */
  encodeLast(): Buffer | undefined {
    const { format, timings } = this.#exchange;
    if (!format.includeUsage && !this.#lastChoice) return undefined;
    const autoglm = {
      ...timings.told(),
      ...this.attention.fields(),
      ...(!format.includeUsage && this.usage.isKnown && { usage: this.usage }),
    };
    const choices = this.#lastChoice ? [this.#lastChoice] : [];
    return this.#pack(jsonValue({ ...this.#head(), choices, ...(format.includeUsage && { usage: this.usage }), autoglm }) as object);
  }

  #delta(index: number, { text, logprobs }: TextDeltaPart): Buffer | undefined {
    if (text === '' && !logprobs) return undefined;
    const offset = this.#lengths[index] ?? 0;
    if (logprobs) this.#lengths[index] = offset + text.length;
    const encoded = logprobs ? (this.#isChat ? chatLogprobs(logprobs) : completionLogprobs(logprobs, offset)) : null;
    return this.#chunk([choice(index, this.#isChat ? { delta: { content: text } } : { text }, encoded)]);
  }

  #finish({ index, finishReason, wire = {} }: StreamPart & TextEndPart): Buffer | undefined {
    const finish = choice(index, this.#isChat ? { delta: {} } : { text: '' }, null, finishReason, wire);
    if (this.#open > 0 || this.#exchange.format.includeUsage) return this.#chunk([finish]);
    this.#lastChoice = finish;
    return undefined;
  }

  #wire({ index, delta, choice: other, answer }: StreamPart & WireDeltaPart): Buffer {
    return this.#chunk([choice(index, this.#isChat ? { delta } : { text: '' }, null, null, other)], answer);
  }

  #chunk(choices: readonly object[], more: Fields = {}): Buffer {
    return this.#pack({ ...this.#head(), choices, ...more, ...(this.#exchange.format.includeUsage && { usage: null }) });
  }

  #head(): object {
    const { request, created } = this.#exchange;
    return { id: request.id, object: this.#isChat ? 'chat.completion.chunk' : 'text_completion', created, model: request.model };
  }
}

function choice(
  index: number,
  body: Fields,
  logprobs: object | null = null,
  finishReason: string | null = null,
  more: Fields = {},
): object {
  return { index, ...body, logprobs, finish_reason: finishReason, ...more };
}
