/** The engine process: it alone loads ggml, whose failed assertions abort the process they happen in. */
import { AutoglmError, greedySampling } from '@open-autoglm/protocol';
import { EngineCore, openModel, stepCostsFor, type LoadedModel } from '../core.ts';
import { resolveModel } from '../models/resolve.ts';
import { ProcessWatch } from '../stats/process-watch.ts';
import { StatsReporter } from '../stats/stats-reporter.ts';
import { Arrivals } from './arrivals.ts';
import { behaveAsChild, keepCompiled, prepareUnlessLeft } from './child-process.ts';
import { LifeSign } from './life-sign.ts';
import { fromMachineMs, onClock } from './machine-clock.ts';
import { OutputBuffer } from './output-buffer.ts';
import type { EngineCommand, EngineProcessOptions, EngineReport } from './messages.ts';
import { toWire } from './wire-error.ts';

/** Prompt tokens of one graph at most; its activations stay in the second-level cache's reach and its memory is small. */
const maxChunk = 512;
/** Half-way between sleeping and spinning: ggml's own default. */
const poll = 50;

let core: EngineCore | undefined;
let arrivals: Arrivals | undefined;
let buffer = new OutputBuffer(0);
let reporter: StatsReporter | undefined;
let stepping = false;
/** Calls of the tokenizer that somebody waits for. */
const tokenizing = new Map<number, AbortController>();
const lifeSign = new LifeSign(() => report({ type: 'alive' }));

process.on('message', (command: EngineCommand) => {
  if (command.type === 'start') void start(command.options);
  else if (command.type === 'generate') void generate(command);
  else if (command.type === 'abort') abort(command.id);
  else if (command.type === 'leave-call') tokenizing.get(command.call)?.abort();
  else void tokenize(command);
});
behaveAsChild();

async function start(options: EngineProcessOptions): Promise<void> {
  try {
    const found = await prepareUnlessLeft((signal) =>
      resolveModel({
        signal,
        model: options.model,
        home: options.home,
        quantization: options.quantization,
        onProgress: ({ phase, fraction }) => report({ type: 'progress', phase, fraction }),
      }),
    );
    const model = openModel({ ...options, modelPath: found.path, id: 'default', source: found.source, poll, maxChunk });
    const limits = {
      maxBatchSize: options.maxBatchSize,
      stepTokenBudget: options.stepTokenBudget,
      maxChunk,
      continuous: options.continuousBatching,
      stepCosts: stepCostsFor(model, options.speculation),
      maxQueue: options.maxQueue,
      isSharedBetweenScopes: options.kvCache.isSharedBetweenScopes,
      contextStrategy: options.contextStrategy,
      sharing: options.sharing,
    };
    // By another core, which counts for itself.
    warmUp(model, new EngineCore(model, limits));
    const watch = new ProcessWatch();
    core = new EngineCore(model, limits, undefined, () => watch.gcMs);
    arrivals = new Arrivals(core, options.maxBatchSize + options.maxQueue);
    buffer = new OutputBuffer(options.streamIntervalMs);
    reporter = new StatsReporter({ core, process: watch, send: (stats) => report({ type: 'stats', stats }) });
    reporter.touch();
    report({ type: 'ready', model: model.info, notice: model.notice });
    keepCompiled();
  } catch (error) {
    report({ type: 'failed', error: toWire(error) });
  }
}

/** The first request must not pay for the compiler's warming up. */
function warmUp(model: LoadedModel, warming: EngineCore): void {
  warming.add({
    id: 'warm-up',
    prompt: { tokens: [model.vocabulary.bos ?? 0] },
    sampling: greedySampling,
    maxTokens: 4,
    stop: [],
    topLogprobs: undefined,
    cacheScope: '',
  });
  while (!warming.idle) warming.step();
}

async function generate({ request }: Extract<EngineCommand, { type: 'generate' }>): Promise<void> {
  try {
    if (!arrivals) throw new AutoglmError('engine_unavailable', 'The engine is still starting.');
    if (!(await arrivals.add(onClock(request, fromMachineMs)))) return;
    reporter?.touch();
    if (!stepping) scheduleStep();
  } catch (error) {
    report({ type: 'error', id: request.id, error: toWire(error) });
  }
}

function abort(id: string): void {
  const hasWork = core?.idle === false;
  arrivals?.abort(id);
  buffer.forget(id);
  if (hasWork) reporter?.touch();
}

async function tokenize(command: Extract<EngineCommand, { type: 'tokenize' | 'count-tokens' }>): Promise<void> {
  const { call } = command;
  const leaving = new AbortController();
  tokenizing.set(call, leaving);
  try {
    if (!core) throw new AutoglmError('engine_unavailable', 'The engine is still starting.');
    const { tokenizer } = core;
    if (command.type === 'tokenize')
      report({ type: 'tokens', call, tokens: await tokenizer.aside(tokenizer.read(command.prompt), leaving.signal) });
    else report({ type: 'token-counts', call, counts: await tokenizer.aside(tokenizer.count(command.segments), leaving.signal) });
  } catch (error) {
    if (!leaving.signal.aborted) report({ type: 'tokenize-error', call, error: toWire(error) });
  } finally {
    tokenizing.delete(call);
  }
}

function scheduleStep(): void {
  stepping = true;
  setImmediate(step);
}

/** One step, then the gateway's messages, then the next: an abort is heeded within one step. */
function step(): void {
  stepping = false;
  if (!core || core.idle) return;
  const outputs = buffer.add(core.step(), performance.now());
  reporter?.touch();
  if (outputs.length === 0) {
    lifeSign.show();
    return scheduleStep();
  }
  // When the gateway does not read, the engine waits for it instead of piling up what it said.
  const isTaken = report({ type: 'parts', outputs }, () => !isTaken && scheduleStep());
  if (isTaken) scheduleStep();
  else stepping = true;
}

function report(message: EngineReport, onSent?: () => void): boolean {
  // When the gateway has gone, the process only cleans up.
  return process.connected && (process.send?.(message, undefined, undefined, onSent) ?? false);
}
