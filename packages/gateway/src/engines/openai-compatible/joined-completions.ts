import type { GatewayRequest, StreamPart, TextsRequest } from '@open-autoglm/protocol';
import { TextBatcher, type BatchableAnswer, type TextBatcherOptions } from '../batching/text-batcher.ts';
import { AnswerReader } from './answer-reader.ts';
import { stateFacts } from './state-facts.ts';
import { upstreamFields } from './upstream-request.ts';
import { inPlaces, promptTokensOf, upstreamTexts, type UpstreamTextsOptions } from './upstream-texts.ts';
import { usageOf, type WireAnswer, type WireChoice } from './wire.ts';

/** What a server has said to several prompts, or a part of it. */
interface JoinedAnswer extends BatchableAnswer {
  readonly answer: WireAnswer;
  /** One for each prompt. */
  readonly choices: readonly WireChoice[];
  /** Of these choices; undefined where the server does not tell. */
  readonly completionTokens: number | undefined;
}

/**
 * Text completions of the batch lane that agree in all but their prompts, asked for in one call: `prompt` may be a list. Each is
 * answered when the longest of its call is, which somebody who waits would mind. The server tells the tokens of all: each has its part
 * by the length of its texts, and together they have all.
 */
export class JoinedCompletions {
  readonly #options: UpstreamTextsOptions;
  readonly #batcher: TextBatcher<TextsRequest, JoinedAnswer>;

  constructor(options: UpstreamTextsOptions, batching: TextBatcherOptions) {
    const { name } = options;
    const ask = upstreamTexts<TextsRequest, JoinedAnswer>(
      options,
      () => ({}),
      (answer, count) => ({
        answer,
        choices: inPlaces(name, 'choices', answer['choices'], count, (choice: WireChoice) => choice),
        promptTokens: promptTokensOf(answer),
        completionTokens: usageOf(answer)?.completion_tokens,
      }),
    );
    this.#options = options;
    this.#batcher = new TextBatcher({ name, field: 'prompt', ask, commonOf: ({ inputs: [prompt] }) => typeof prompt, slice }, batching);
  }

  /** Whether nobody waits for it, and it is one prompt with one answer. */
  takes({ lane, stream, choiceCount, input }: GatewayRequest): boolean {
    return lane === 'batch' && !stream && choiceCount === 1 && input.kind === 'completion' && input.prompts.length === 1;
  }

  /** As `Replica.answer`, for a request that it takes. */
  answer(request: GatewayRequest): AsyncIterableIterator<StreamPart> {
    const left = new AbortController();
    const parts = this.#answer(request, AbortSignal.any([request.signal, left.signal]));
    return {
      next: () => parts.next(),
      // A generator's own waits for what it awaits, which is the end of the call.
      return: () => {
        left.abort(new Error('the reader left'));
        return parts.return(undefined);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * They are all of the batch lane, which admission has held already: the batcher, where nobody is in real time, is told no lane and holds
   * none back.
   */
  async *#answer(request: GatewayRequest, signal: AbortSignal): AsyncGenerator<StreamPart, undefined> {
    const { id, requestId, input, traceContext, emit } = request;
    const { name, model } = this.#options;
    const askedAtMs = performance.now();
    let isAnswered = false;
    const parts: StreamPart[] = [];
    try {
      const joined = await this.#batcher.ask(
        { id, requestId, inputs: input.kind === 'completion' ? input.prompts : [], fields: upstreamFields(request, model), traceContext },
        signal,
      );
      const reader = new AnswerReader(name, request, (part) => parts.push(part));
      reader.readParsed(toWireAnswer(joined));
      reader.end();
      isAnswered = true;
    } finally {
      emit({
        type: 'segment-end',
        segment: 'upstream',
        durationMs: performance.now() - askedAtMs,
        reason: isAnswered ? 'answer' : signal.aborted ? 'left' : 'failed',
      });
    }
    stateFacts(parts, emit);
    yield* parts;
  }

  /** Whoever waits to be joined is told that the engine was closed. */
  close(): void {
    this.#batcher.close();
  }
}

function slice({ answer, choices, promptTokens, completionTokens }: JoinedAnswer, begin: number, end: number): JoinedAnswer {
  const bytes = choices.map(({ text }) => (typeof text === 'string' ? Buffer.byteLength(text) : 0));
  const upTo = (count: number) => bytes.slice(0, count).reduce((sum, size) => sum + size, 0);
  const all = upTo(bytes.length);
  const tokensUpTo = (count: number) => Math.round((completionTokens ?? 0) * (all === 0 ? count / choices.length : upTo(count) / all));
  return {
    answer,
    choices: choices.slice(begin, end),
    promptTokens,
    completionTokens: completionTokens === undefined ? undefined : tokensUpTo(end) - tokensUpTo(begin),
  };
}

/** As if it had been asked for alone; one that was is told as the server told it. */
function toWireAnswer({ answer, choices, promptTokens, completionTokens }: JoinedAnswer): WireAnswer {
  const isWhole = choices.length === answer.choices?.length;
  const usage = isWhole
    ? answer.usage
    : usageOf(answer) && {
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens ?? 0,
        total_tokens: promptTokens + (completionTokens ?? 0),
      };
  return { ...answer, choices: choices.map((choice, index) => ({ ...choice, index })), usage: usage ?? null };
}
