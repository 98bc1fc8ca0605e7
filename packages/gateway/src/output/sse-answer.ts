import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { StreamPart, TextDeltaPart } from '@open-autoglm/protocol';
import type { Exchange } from '../common/exchange.ts';
import { chatLogprobs, completionLogprobs } from './logprobs.ts';
import { Usage } from './usage.ts';

/** Writes parts as OpenAI's server-sent events. One is written for every token, so all that can be is made beforehand. */
export class SseAnswer {
  readonly #exchange: Exchange;
  readonly #usage: Usage;
  readonly #head: string;
  readonly #tail: string;
  /** Characters sent of each choice, for the offsets of completion logprobs. */
  readonly #lengths: number[] = [];
  #open = 0;

  constructor(exchange: Exchange) {
    const { request, format, created } = exchange;
    this.#exchange = exchange;
    this.#usage = new Usage(request.choiceCount);
    const object = format.api === 'chat' ? 'chat.completion.chunk' : 'text_completion';
    this.#head = `data: ${JSON.stringify({ id: request.id, object, created, model: request.model }).slice(0, -1)},"choices":[`;
    this.#tail = format.includeUsage ? ',"usage":null}\n\n' : '}\n\n';
    this.#open = (request.input.kind === 'chat' ? 1 : request.input.prompts.length) * request.choiceCount;
  }

  /** Sends the parts. When the client reads slowly, the next part is not asked for before it has caught up. */
  async send(parts: AsyncIterable<StreamPart>, beforeFirst: () => void): Promise<void> {
    const { response } = this.#exchange;
    for await (const part of parts) {
      if (!response.headersSent) beforeFirst();
      this.#usage.add(part);
      const text = this.#encode(part);
      if (text !== '' && !response.write(text)) await drained(response);
    }
    if (this.#exchange.format.includeUsage) response.write(this.#last([], `,"usage":${JSON.stringify(this.#usage)}`));
  }

  #encode(part: StreamPart): string {
    switch (part.type) {
      case 'prompt-end':
        return this.#exchange.format.api === 'chat' ? this.#chunk(part.index, '"delta":{"role":"assistant","content":""}', 'null', 'null') : '';
      case 'text-delta':
        return this.#delta(part.index, part);
      case 'text-end':
        this.#open -= 1;
        return this.#finish(part.index, part.finishReason);
    }
  }

  #delta(index: number, { text, logprobs }: TextDeltaPart): string {
    if (text === '' && !logprobs) return '';
    const isChat = this.#exchange.format.api === 'chat';
    const offset = this.#lengths[index] ?? 0;
    this.#lengths[index] = offset + text.length;
    const encoded = logprobs ? JSON.stringify(isChat ? chatLogprobs(logprobs) : completionLogprobs(logprobs, offset)) : 'null';
    return this.#chunk(index, isChat ? `"delta":{"content":${JSON.stringify(text)}}` : `"text":${JSON.stringify(text)}`, encoded, 'null');
  }

  /** The finish of the last choice carries what was not known when the headers went out, unless the usage chunk follows. */
  #finish(index: number, reason: string): string {
    const isChat = this.#exchange.format.api === 'chat';
    const body = isChat ? '"delta":{}' : '"text":""';
    const isLast = this.#open === 0 && !this.#exchange.format.includeUsage;
    if (!isLast) return this.#chunk(index, body, 'null', JSON.stringify(reason));
    return this.#last([choice(index, body, 'null', JSON.stringify(reason))], '');
  }

  #chunk(index: number, body: string, logprobs: string, finishReason: string): string {
    return `${this.#head}${choice(index, body, logprobs, finishReason)}]${this.#tail}`;
  }

  #last(choices: readonly string[], extra: string): string {
    const autoglm = JSON.stringify({ timings: this.#exchange.timings.fields() });
    return `${this.#head}${choices.join()}]${extra},"autoglm":${autoglm}}\n\n`;
  }
}

function choice(index: number, body: string, logprobs: string, finishReason: string): string {
  return `{"index":${index},${body},"logprobs":${logprobs},"finish_reason":${finishReason}}`;
}

/** Resolves when the response's buffer is empty again, or the client is gone. */
async function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return;
  const waiting = new AbortController();
  const either = ['drain', 'close'].map((event) => once(response, event, { signal: waiting.signal }));
  await Promise.race(either).finally(() => {
    waiting.abort();
    for (const promise of either) promise.catch(() => {});
  });
}
