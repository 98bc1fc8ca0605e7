import type { StreamPart, TextDeltaPart, TextEndPart, WireDeltaPart } from '@open-autoglm/protocol';
import type { Exchange } from '../common/exchange.ts';
import { AttentionMaps } from './attention-maps.ts';
import { EventWriter } from './event-writer.ts';
import { chatLogprobs, completionLogprobs } from './logprobs.ts';
import { sendParts, type PartEncoder } from './send-parts.ts';
import { Usage } from './usage.ts';

/** Writes parts as OpenAI's server-sent events. One is written for every token, so all that can be is made beforehand. */
export class SseAnswer implements PartEncoder<string> {
  readonly contentType = 'text/event-stream; charset=utf-8';
  readonly #exchange: Exchange;
  readonly usage: Usage;
  readonly attention = new AttentionMaps();
  readonly #head: string;
  readonly #tail: string;
  /** What stands before and after the text of a delta without logprobs, by choice. */
  readonly #deltaHeads: readonly string[];
  readonly #deltaTail: string;
  /** Characters sent of each choice, for the offsets of completion logprobs. */
  readonly #lengths: number[] = [];
  #open: number;
  /** The end of the last choice, until the usage is known: that of another server's answer comes after it. */
  #lastChoice: string | undefined;

  constructor(exchange: Exchange) {
    const { request, format, created } = exchange;
    this.#exchange = exchange;
    this.usage = new Usage(request.choiceCount);
    const object = format.api === 'chat' ? 'chat.completion.chunk' : 'text_completion';
    this.#head = `data: ${JSON.stringify({ id: request.id, object, created, model: request.model }).slice(0, -1)},"choices":[`;
    this.#tail = format.includeUsage ? ',"usage":null}\n\n' : '}\n\n';
    const choiceCount = (request.input.kind === 'chat' ? 1 : request.input.prompts.length) * request.choiceCount;
    this.#open = choiceCount;
    const isChat = format.api === 'chat';
    this.#deltaHeads = Array.from(
      { length: choiceCount },
      (_, index) => `${this.#head}{"index":${index},${isChat ? '"delta":{"content":' : '"text":'}`,
    );
    this.#deltaTail = `${isChat ? '}' : ''},"logprobs":null,"finish_reason":null}]${this.#tail}`;
  }

  /** Sends the parts. When the client reads slowly, the next part is not asked for before it has caught up. */
  send(parts: AsyncIterable<StreamPart>, beforeFirst: () => void): Promise<void> {
    const { response, request } = this.#exchange;
    return sendParts(this.#exchange, parts, this, new EventWriter(response, request.signal), beforeFirst);
  }

  end(): void {
    this.#exchange.response.end('data: [DONE]\n\n');
  }

  /**
   * What was not known when the headers went out: in a chunk of its own beside the usage, where that is wanted, or with the end of the last
   * choice.
   */
  encodeLast(): string {
    const { format, timings } = this.#exchange;
    if (!format.includeUsage && this.#lastChoice === undefined) return '';
    const autoglm = {
      ...timings.told(),
      ...this.attention.fields(),
      ...(!format.includeUsage && this.usage.isKnown && { usage: this.usage }),
    };
    const usage = format.includeUsage ? `,"usage":${JSON.stringify(this.usage)}` : '';
    return `${this.#head}${this.#lastChoice ?? ''}]${usage},"autoglm":${JSON.stringify(autoglm)}}\n\n`;
  }

  encode(part: StreamPart): string {
    switch (part.type) {
      case 'prompt-end':
      case 'text-start':
        return this.#exchange.format.api === 'chat'
          ? this.#chunk(part.index, '"delta":{"role":"assistant","content":""}', 'null', 'null')
          : '';
      case 'text-delta':
        return this.#delta(part.index, part);
      case 'reasoning-delta':
        return this.#exchange.format.api === 'chat'
          ? this.#chunk(part.index, `"delta":{"${part.field ?? 'reasoning_content'}":${JSON.stringify(part.text)}}`, 'null', 'null')
          : '';
      case 'wire-delta':
        return this.#wire(part);
      case 'usage':
        return '';
      case 'text-end':
        this.#open -= 1;
        return this.#finish(part);
    }
  }

  #delta(index: number, { text, logprobs }: TextDeltaPart): string {
    if (text === '' && !logprobs) return '';
    if (!logprobs) return this.#deltaHeads[index] + JSON.stringify(text) + this.#deltaTail;
    const isChat = this.#exchange.format.api === 'chat';
    const offset = this.#lengths[index] ?? 0;
    this.#lengths[index] = offset + text.length;
    const encoded = JSON.stringify(isChat ? chatLogprobs(logprobs) : completionLogprobs(logprobs, offset));
    return this.#chunk(index, isChat ? `"delta":{"content":${JSON.stringify(text)}}` : `"text":${JSON.stringify(text)}`, encoded, 'null');
  }

  #finish({ index, finishReason, wire = {} }: StreamPart & TextEndPart): string {
    const reason = JSON.stringify(finishReason) + moreFields(wire);
    const isChat = this.#exchange.format.api === 'chat';
    const body = isChat ? '"delta":{}' : '"text":""';
    if (this.#open > 0 || this.#exchange.format.includeUsage) return this.#chunk(index, body, 'null', reason);
    this.#lastChoice = choice(index, body, 'null', reason);
    return '';
  }

  #chunk(index: number, body: string, logprobs: string, finishReason: string): string {
    return `${this.#head}${choice(index, body, logprobs, finishReason)}]${this.#tail}`;
  }

  #wire({ index, delta, choice: other, answer }: StreamPart & WireDeltaPart): string {
    const body = this.#exchange.format.api === 'chat' ? `"delta":${JSON.stringify(delta)}` : '"text":""';
    return `${this.#head}${choice(index, body, 'null', `null${moreFields(other)}`)}]${moreFields(answer)}${this.#tail}`;
  }
}

/** Fields after others. */
function moreFields(fields: Readonly<Record<string, unknown>>): string {
  const text = JSON.stringify(fields);
  return text === '{}' ? '' : `,${text.slice(1, -1)}`;
}

function choice(index: number, body: string, logprobs: string, finishReason: string): string {
  return `{"index":${index},${body},"logprobs":${logprobs},"finish_reason":${finishReason}}`;
}
