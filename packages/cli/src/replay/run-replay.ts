import { runGenerator } from './generator/generator.ts';
import type { GeneratorEnd } from './generator/messages.ts';
import { quantileOfSorted, toSorted } from '@open-autoglm/statistics';
import { prepare } from './prepare.ts';
import { assumedCalibration, probeCalibration, probeModel, type Probed, type ProbeOptions } from './probe.ts';
import { PromptMaker } from './prompts/prompt-maker.ts';
import type { RequestOutcome } from './outcome.ts';
import type { Calibration, GeneratorFacts, ReplayChoices, ReplayResult, ReplayTarget } from './result.ts';
import { nameTargets, type TargetWish } from './targets.ts';
import { formatCount, formatNumber } from './report/text.ts';
import { openTrace } from './trace/open-trace.ts';
import { planReplay, type PlanOptions, type ReplayPlan } from './trace/plan.ts';
import { scheduleForOne, scheduleForTwo } from './trace/schedule.ts';
import type { TraceFormat } from './trace/trace-format.ts';

export interface ReplayRequest extends PlanOptions, ReplayChoices {
  readonly tracePath: string;
  readonly format: TraceFormat['name'] | 'auto';
  /** One, or two to compare. */
  readonly targets: readonly TargetWish[];
  readonly apiKey?: string;
}

export interface ReplayObserver {
  /** The first request is due now. */
  begins(plan: ReplayPlan, targets: readonly ReplayTarget[]): void;
  /** Ten times a second, and more often where many requests end. */
  progresses(progress: ReplayProgress): void;
}

export interface ReplayProgress {
  readonly endedCount: number;
  readonly failedCount: number;
  readonly inFlight: number;
}

/** Of time for each question before the replay. */
const probeTimeoutMs = 10_000;
const promptSizeToleranceShare = 0.05;

/** Replays a trace. Throws `UserError` when nothing can be sent: no trace, no server. Everything after that is in the result. */
export async function runReplay(request: ReplayRequest, observer: ReplayObserver, signal: AbortSignal): Promise<ReplayResult> {
  const trace = await openTrace(request.tracePath, request.format);
  const plan = await planReplay(trace, request);
  const headers = {
    'content-type': 'application/json',
    accept: 'text/event-stream',
    ...(request.apiKey !== undefined && { authorization: `Bearer ${request.apiKey}` }),
  };
  const { targets, calibrations, warnings } = await probeTargets(request, plan, {
    headers,
    timeoutMs: Math.min(probeTimeoutMs, request.timeoutMs),
    signal,
  });
  const blockMs = targets.length === 2 ? (request.blockMs ?? chooseBlockMs(plan.lengthMs)) : undefined;
  const schedule = blockMs === undefined ? scheduleForOne(trace, plan) : scheduleForTwo(trace, { ...plan, blockMs });
  const requests = prepare(
    schedule,
    targets.map((target, index) => ({
      ...request,
      target,
      headers,
      calibration: calibrations[index] as Calibration,
      prompts: promptMakerFor(index, targets, calibrations, request, plan),
    })),
  );

  const outcomes: RequestOutcome[] = [];
  let failedCount = 0;
  let startedAt = new Date();
  let cpuBefore = process.cpuUsage();
  const end = await runGenerator({
    requests,
    signal,
    // Not before the first request's time is up: a long prompt on a slow machine is read in silence.
    send: {
      targets: targets.map(({ url }) => url),
      timeoutMs: request.timeoutMs,
      inFlightMax: request.inFlightMax,
      silenceMaxMs: request.timeoutMs,
    },
    onBegin() {
      startedAt = new Date();
      cpuBefore = process.cpuUsage();
      observer.begins(plan, targets);
    },
    onProgress(progress) {
      for (const outcome of progress.outcomes) {
        outcomes.push(outcome);
        if (outcome.outcome !== 'answered') failedCount += 1;
      }
      observer.progresses({ endedCount: outcomes.length, failedCount, inFlight: progress.inFlight });
    },
  });
  const { timeoutMs, inFlightMax, promptScale, outputScale, seed } = request;
  return {
    startedAt: startedAt.toISOString(),
    targets,
    outcomes,
    warnings: [
      ...warnings,
      ...warningOfKeptPrompts(request, plan),
      ...targets.flatMap((target, index) =>
        warningOfPromptSizes(
          target,
          outcomes.filter((outcome) => outcome.target === index),
        ),
      ),
    ],
    trace: plan.facts,
    end: end.end,
    wallMs: outcomes.reduce((latest, { endedAtMs }) => Math.max(latest, endedAtMs), 0),
    generator: describeGenerator(outcomes, end, process.cpuUsage(cpuBefore)),
    options: {
      speed: plan.speed,
      meanRatePerSecond: plan.meanRatePerSecond,
      timeoutMs,
      inFlightMax,
      promptScale,
      outputScale,
      seed,
      ...(plan.makesPrompts && { calibration: calibrations }),
      ...(blockMs !== undefined && { blockMs }),
      ...given(request, ['slo', 'durationMs', 'limit', 'promptTokensMax', 'outputTokensMax']),
    },
  };
}

/** Enough slices for an interval, none shorter than most answers. */
function chooseBlockMs(lengthMs: number): number {
  return Math.min(30_000, Math.max(1000, lengthMs / 16));
}

async function probeTargets({ targets: wishes, seed }: ReplayRequest, plan: ReplayPlan, options: ProbeOptions) {
  const warnings: string[] = [];
  const models: string[] = [];
  for (const { url, model } of wishes) {
    const { value, warning }: Probed<string> = model === undefined ? await probeModel(url, options) : { value: model };
    models.push(value);
    if (warning !== undefined) warnings.push(warning);
  }
  const targets = nameTargets(wishes.map((wish, index) => ({ ...wish, model: models[index] as string })));
  const calibrations: Calibration[] = [];
  for (const target of targets) {
    const { value, warning }: Probed<Calibration> = plan.makesPrompts
      ? await probeCalibration(target, seed, options)
      : { value: assumedCalibration };
    calibrations.push(value);
    if (warning !== undefined) warnings.push(warning);
  }
  return { targets, calibrations, warnings: [...new Set(warnings)] };
}

/** Two configurations of one server get different words: the second would find the prompts of the first in the server's caches. */
function promptMakerFor(
  index: number,
  targets: readonly ReplayTarget[],
  calibrations: readonly Calibration[],
  { seed, promptScale, promptTokensMax }: ReplayRequest,
  { tokensPerCharacter }: ReplayPlan,
): PromptMaker {
  const isShared = index > 0 && targets[0]?.url === targets[index]?.url;
  return new PromptMaker({
    calibration: calibrations[index] as Calibration,
    seed: isShared ? seed + index : seed,
    scale: promptScale,
    tokensPerCharacter,
    ...(promptTokensMax !== undefined && { tokensMax: promptTokensMax }),
  });
}

/** What is said of prompts and answers that are made says nothing of those that are sent as they were recorded. */
function warningOfKeptPrompts({ promptScale, promptTokensMax, outputScale }: ReplayRequest, { keepsPrompts }: ReplayPlan): string[] {
  if (!keepsPrompts) return [];
  const unheeded = [
    ...(promptScale === 1 ? [] : ['--prompt-scale']),
    ...(promptTokensMax === undefined ? [] : ['--max-prompt-tokens']),
    ...(outputScale === 1 ? [] : ['--output-scale']),
  ];
  return unheeded.length === 0
    ? []
    : [
        `Requests that the trace holds with their contents were sent as they are, whatever ${unheeded.join(' and ')} say${unheeded.length === 1 ? 's' : ''}.`,
      ];
}

/** Words are counted on two prompts before the replay; a server may see those of another model, or of a longer text, otherwise. */
function warningOfPromptSizes({ name }: ReplayTarget, outcomes: readonly RequestOutcome[]): string[] {
  let wanted = 0;
  let counted = 0;
  for (const { promptTokensWanted, promptTokens } of outcomes) {
    if (promptTokensWanted === undefined || promptTokens === undefined) continue;
    wanted += promptTokensWanted;
    counted += promptTokens;
  }
  if (wanted === 0 || Math.abs(counted / wanted - 1) <= promptSizeToleranceShare) return [];
  return [`${name} counted ${formatCount(counted, 'token')} of prompts, where the trace asks for ${formatNumber(wanted)}.`];
}

function describeGenerator(
  outcomes: readonly RequestOutcome[],
  { originMs, inFlightPeak, connectionPeak }: GeneratorEnd,
  cpu: NodeJS.CpuUsage,
): GeneratorFacts {
  const late = toSorted(outcomes.flatMap(({ sentAtMs, dueAtMs }) => (sentAtMs === undefined ? [] : [sentAtMs - dueAtMs])));
  const at = (q: number) => quantileOfSorted(late, q);
  return {
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    latenessMs: late.length === 0 ? null : { p50: at(0.5), p99: at(0.99), max: at(1) },
    originMs,
    inFlightPeak,
    connectionPeak,
  };
}

function given<T, K extends keyof T>(values: T, keys: readonly K[]): { [P in K]?: Exclude<T[P], undefined> } {
  return Object.fromEntries(keys.filter((key) => values[key] !== undefined).map((key) => [key, values[key]])) as {
    [P in K]?: Exclude<T[P], undefined>;
  };
}
