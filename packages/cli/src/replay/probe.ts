import { errors, request } from 'undici';
import { UserError } from '../failure.ts';
import { withoutLimit } from './answer-limit.ts';
import { isRecord, tryParseRecord } from './formats/fields.ts';
import { describeConnectionError } from './generator/connection-error.ts';
import { errorMessage } from './generator/answer-reader.ts';
import { PromptMaker } from './prompts/prompt-maker.ts';
import type { Calibration, ReplayTarget } from './result.ts';

export interface ProbeOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What was found out, and what had to be assumed in its place. */
export interface Probed<T> {
  readonly value: T;
  readonly warning?: string;
}

/** A model that every server of this project has. */
const modelDefault = 'default';
export const assumedCalibration: Calibration = { tokensPerWord: 1, overheadTokens: 8, isMeasured: false };

/** The first model that the server lists. Throws `UserError` when nobody listens there, or nobody is let in: nothing could be measured. */
export async function probeModel(url: string, options: ProbeOptions): Promise<Probed<string>> {
  const answer = await ask(`${url}/v1/models`, options);
  if ('failure' in answer)
    return {
      value: modelDefault,
      warning: `${url}/v1/models: ${answer.failure}; the model is taken to be ${modelDefault}. Name it with --model.`,
    };
  const { data } = answer.body;
  const first: unknown = Array.isArray(data) ? data[0] : undefined;
  if (isRecord(first) && typeof first['id'] === 'string') return { value: first['id'] };
  return { value: modelDefault, warning: `${url} lists no models; the model is taken to be ${modelDefault}. Name it with --model.` };
}

const wordCounts = [32, 288] as const;

/**
 * No interface to count tokens is common to all servers, but every answer says how many its prompt had. Two prompts of different
 * length, of the words that the replay's prompts are made of, tell what a word costs and what the chat template adds.
 */
export async function probeCalibration(
  { url, model, body }: ReplayTarget,
  seed: number,
  options: ProbeOptions,
): Promise<Probed<Calibration>> {
  const maker = new PromptMaker({
    calibration: { tokensPerWord: 1, overheadTokens: 0, isMeasured: false },
    seed,
    scale: 1,
    tokensPerCharacter: 1,
  });
  const counts: number[] = [];
  for (const [index, wordCount] of wordCounts.entries()) {
    const content = maker.make({ kind: 'length', tokens: wordCount }, -1 - index, 0);
    const question = { ...withoutLimit(body ?? {}), model, stream: false, max_tokens: 1, messages: [{ role: 'user', content }] };
    const answer = await ask(`${url}/v1/chat/completions`, options, question);
    if ('failure' in answer)
      return {
        value: assumedCalibration,
        warning: `${url} counted no tokens (${answer.failure}): a word of a synthesised prompt is taken for a token.`,
      };
    const { usage } = answer.body;
    const tokens = isRecord(usage) ? usage['prompt_tokens'] : undefined;
    if (typeof tokens !== 'number' || !(tokens > 0))
      return {
        value: assumedCalibration,
        warning: `${url} says no usage.prompt_tokens: a word of a synthesised prompt is taken for a token.`,
      };
    counts.push(tokens);
  }
  const [short = 0, long = 0] = counts;
  const tokensPerWord = (long - short) / (wordCounts[1] - wordCounts[0]);
  const overheadTokens = short - wordCounts[0] * tokensPerWord;
  if (tokensPerWord < 0.05 || tokensPerWord > 20)
    return {
      value: assumedCalibration,
      warning: `${url} counts ${short} tokens for ${wordCounts[0]} words and ${long} for ${wordCounts[1]}: a word is taken for a token.`,
    };
  return { value: { tokensPerWord, overheadTokens, isMeasured: true } };
}

type Answer = { readonly body: Readonly<Record<string, unknown>> } | { readonly failure: string };

async function ask(address: string, { headers, timeoutMs, signal }: ProbeOptions, body?: object): Promise<Answer> {
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const response = await request(address, {
      method: 'GET',
      headers,
      signal: AbortSignal.any([signal, timeout]),
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
    });
    const parsed = tryParseRecord(await response.body.text());
    // Every request of the trace would be refused like that.
    if (response.statusCode === 401)
      throw new UserError(
        `${new URL(address).origin} refuses the key, or wants one (HTTP 401${parsed ? `: ${errorMessage(parsed)}` : ''}). Put it into AUTOGLM_API_KEY; --api-key-env names another variable.`,
      );
    if (response.statusCode !== 200) return { failure: `HTTP ${response.statusCode}${parsed ? `: ${errorMessage(parsed)}` : ''}` };
    return parsed ? { body: parsed } : { failure: 'what came is not JSON' };
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (signal.aborted) throw signal.reason;
    if (timeout.aborted) return { failure: `no answer within ${timeoutMs / 1000} s` };
    const failure = describeFailure(error as Error);
    if (failure === 'connection refused' || failure === 'the host has no address')
      throw new UserError(`No server answers at ${new URL(address).origin}: ${failure}. Start one with: autoglm serve`);
    return { failure };
  }
}

/** Of undici's own codes; the system's are those of any connection. */
const undiciFailures: Readonly<Record<string, string>> = {
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_SOCKET: 'connection closed',
  UND_ERR_HEADERS_OVERFLOW: 'the headers are too long',
};

function describeFailure(error: Error): string {
  if (error.name === 'HTTPParserError') return 'what came is not HTTP/1.1';
  const ofUndici = error instanceof errors.UndiciError ? undiciFailures[error.code] : undefined;
  return ofUndici ?? describeConnectionError(error);
}
