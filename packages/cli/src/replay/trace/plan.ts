import { UserError } from '../../failure.ts';
import type { BrokenLine, ReplayChoices, TraceFacts } from '../result.ts';
import type { Trace } from './open-trace.ts';

/** How fast the trace is played: its own times divided by `factor`, or so that its requests come at a mean rate. */
export type Rate = { readonly kind: 'speed'; readonly factor: number } | { readonly kind: 'mean'; readonly perSecond: number };

export interface PlanOptions extends Pick<ReplayChoices, 'durationMs' | 'limit'> {
  readonly rate: Rate;
}

/** What a first reading of the trace finds out, so that the second can send. */
export interface ReplayPlan {
  /** Trace times are divided by this. */
  readonly speed: number;
  /** The first requests of the trace, as many as are replayed. */
  readonly requestCount: number;
  /** When the last of them is due. */
  readonly lengthMs: number;
  readonly meanRatePerSecond: number;
  /** Tokens of a character, where prompts are measured in characters. */
  readonly tokensPerCharacter: number;
  /** Some prompts are only measured, and have to be made. */
  readonly makesPrompts: boolean;
  /** Some are recorded, and sent as they were. */
  readonly keepsPrompts: boolean;
  readonly facts: TraceFacts;
}

const linesNamedMax = 20;
/** What became of each request is kept for the report: 300 bytes each. */
const requestCountMax = 1_000_000;
/** A longer one is a clock that has jumped. */
const lengthDaysMax = 7;
/** Of English; taken where nothing was counted. */
const tokensPerCharacterDefault = 0.25;

/** Reads as much of the trace as will be replayed, and no more. Throws `UserError` when there is nothing to replay. */
export async function planReplay(trace: Trace, options: PlanOptions): Promise<ReplayPlan> {
  const survey = await surveyTrace(trace, options);
  const { requestCount, spanMs } = survey.facts;
  if (requestCount === 0) {
    const broken = survey.facts.brokenLines[0];
    throw new UserError(`${trace.path} holds no request${broken ? `: line ${broken.line} is broken (${broken.reason})` : ''}.`);
  }
  const speed = toSpeed(options.rate, requestCount, spanMs);
  const lengthMs = spanMs / speed;
  const days = lengthMs / 86_400_000;
  if (days > lengthDaysMax)
    throw new UserError(
      `Replaying ${trace.path} would take ${Math.round(days).toLocaleString('en')} days: take a part of it (--duration, --limit), or play it faster (--rate).`,
    );
  return {
    speed,
    requestCount,
    lengthMs,
    meanRatePerSecond: lengthMs === 0 ? 0 : ((requestCount - 1) * 1000) / lengthMs,
    tokensPerCharacter: survey.tokensPerCharacter ?? tokensPerCharacterDefault,
    makesPrompts: survey.makesPrompts,
    keepsPrompts: survey.keepsPrompts,
    facts: survey.facts,
  };
}

function toSpeed(rate: Rate, requestCount: number, spanMs: number): number {
  if (rate.kind === 'speed') return rate.factor;
  if (requestCount === 1) return 1;
  if (spanMs === 0) throw new UserError('All requests of the trace are at the same moment: a mean rate cannot be made of them.');
  return (rate.perSecond * spanMs) / ((requestCount - 1) * 1000);
}

async function surveyTrace(trace: Trace, { rate, durationMs = Infinity, limit = Infinity }: PlanOptions) {
  // A mean rate and a duration are a number of requests; a speed and a duration are a part of the trace's time.
  const countMax = Math.min(limit, rate.kind === 'mean' ? Math.max(1, Math.floor((rate.perSecond * durationMs) / 1000)) : Infinity);
  const traceMsMax = rate.kind === 'speed' ? durationMs * rate.factor : Infinity;
  const brokenLines: BrokenLine[] = [];
  const clockBackwardsLines: number[] = [];
  let brokenLineCount = 0;
  let clockBackwardsCount = 0;
  let requestCount = 0;
  let spanMs = 0;
  let countedTokens = 0;
  let countedCharacters = 0;
  let makesPrompts = false;
  let keepsPrompts = false;
  for await (const entry of trace.entries()) {
    if (entry.kind === 'broken') {
      brokenLineCount += 1;
      if (brokenLines.length < linesNamedMax) brokenLines.push({ line: entry.line, reason: entry.reason });
      continue;
    }
    if (entry.atMs > traceMsMax) break;
    requestCount += 1;
    if (requestCount > requestCountMax)
      throw new UserError(
        `${trace.path} holds more than ${requestCountMax.toLocaleString('en')} requests, which is more than one report can be made of: take a part of it (--duration, --limit).`,
      );
    spanMs = entry.atMs;
    if (entry.wentBack) {
      clockBackwardsCount += 1;
      if (clockBackwardsLines.length < linesNamedMax) clockBackwardsLines.push(entry.line);
    }
    const { prompt } = entry.request;
    makesPrompts ||= prompt.kind !== 'body';
    keepsPrompts ||= prompt.kind === 'body';
    if (prompt.kind === 'character-blocks' && prompt.tokens !== undefined) {
      countedTokens += prompt.tokens;
      countedCharacters += prompt.characters;
    }
    if (requestCount >= countMax) break;
  }
  const facts: TraceFacts = {
    path: trace.path,
    format: trace.format.name,
    requestCount,
    spanMs,
    brokenLineCount,
    brokenLines,
    clockBackwardsCount,
    clockBackwardsLines,
  };
  return { facts, makesPrompts, keepsPrompts, tokensPerCharacter: countedCharacters > 0 ? countedTokens / countedCharacters : undefined };
}
