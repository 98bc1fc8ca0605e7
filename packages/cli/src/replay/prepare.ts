import { saidLimit, saysLimit, withLimit, withoutLimit } from './answer-limit.ts';
import type { PreparedRequest } from './generator/prepared.ts';
import { makeRequestMessage } from './generator/request-message.ts';
import type { PromptMaker } from './prompts/prompt-maker.ts';
import type { Calibration, ReplayChoices, ReplayTarget } from './result.ts';
import type { ScheduledRequest } from './trace/schedule.ts';
import type { TraceRequest } from './trace/trace-format.ts';

export interface PreparedFor extends Pick<ReplayChoices, 'outputScale' | 'outputTokensMax'> {
  readonly target: ReplayTarget;
  readonly headers: Readonly<Record<string, string>>;
  readonly prompts: PromptMaker;
  readonly calibration: Calibration;
}

/** Makes the messages, each for its own target. */
export async function* prepare(
  requests: AsyncIterable<ScheduledRequest>,
  targets: readonly PreparedFor[],
): AsyncGenerator<PreparedRequest> {
  for await (const { index, target, block, dueInBlockMs, request } of requests) {
    const preparedFor = targets[target] as PreparedFor;
    const { body, promptTokensWanted } = makeBody(request, index, preparedFor);
    // An answer that is cut short is another one.
    const { answer, outputTokens = 0 } = request;
    const isWhole = outputTokens <= (saidLimit(preparedFor.target.body ?? {}) ?? preparedFor.outputTokensMax ?? Infinity);
    yield {
      index,
      target,
      block,
      dueInBlockMs,
      slice: Math.floor(block / targets.length),
      message: makeRequestMessage({
        url: preparedFor.target.url,
        path: request.path,
        headers: preparedFor.headers,
        body: JSON.stringify(body),
      }),
      ...(promptTokensWanted !== undefined && { promptTokensWanted }),
      ...(answer && isWhole && { answer }),
    };
  }
}

function makeBody(
  { prompt, outputTokens, path }: TraceRequest,
  index: number,
  { target, prompts, calibration, outputScale, outputTokensMax = Infinity }: PreparedFor,
): { readonly body: object; readonly promptTokensWanted?: number } {
  const ours = { ...target.body, model: target.model, stream: true, stream_options: { include_usage: true } };
  const isLimitSaid = saysLimit(target.body ?? {});
  if (prompt.kind === 'body')
    return { body: { ...(isLimitSaid ? withoutLimit(prompt.body) : withLimit(prompt.body, outputTokensMax)), ...ours } };
  const isChat = path === '/v1/chat/completions';
  const text = prompts.make(prompt, index, isChat ? calibration.overheadTokens : 0);
  // An answer of no token cannot be asked for.
  const limit =
    outputTokens === undefined ? outputTokensMax : Math.min(Math.max(1, Math.round(outputTokens * outputScale)), outputTokensMax);
  return {
    promptTokensWanted: prompts.tokensOf(prompt),
    body: {
      ...(Number.isFinite(limit) && !isLimitSaid && { max_tokens: limit }),
      ...ours,
      ...(isChat ? { messages: [{ role: 'user', content: text }] } : { prompt: text }),
    },
  };
}
