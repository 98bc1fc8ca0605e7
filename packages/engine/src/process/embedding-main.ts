/** The embedding process: its own, so that a pass of a thousand tokens never stands between two tokens of a chat. */
import { AutoglmError } from '@open-autoglm/protocol';
import { EmbeddingCore } from '../encoder/embedding-core.ts';
import { openEncoder } from '../encoder/encoder.ts';
import { resolveModel } from '../models/resolve.ts';
import { behaveAsChild, keepCompiled, prepareUnlessLeft } from './child-process.ts';
import type { EmbeddingCommand, EmbeddingProcessOptions, EmbeddingReport } from './embedding-messages.ts';
import { LifeSign } from './life-sign.ts';
import { toWire } from './wire-error.ts';

/** Tokens of one pass at most: a request that comes meanwhile waits for as long. */
const passTokens = 512;
/** Threads sleep at once where there is nothing to do: the cores are the chat's. */
const poll = 0;

let core: EmbeddingCore | undefined;
let stepping = false;
const lifeSign = new LifeSign(() => report({ type: 'alive' }));

process.on('message', (command: EmbeddingCommand) => {
  if (command.type === 'start') void start(command.options);
  else if (command.type === 'embed') embed(command);
  else core?.abort(command.id);
});
behaveAsChild();

async function start({ model, id, threads, maxQueue, batchShareMin, home }: EmbeddingProcessOptions): Promise<void> {
  try {
    const found = await prepareUnlessLeft((signal) =>
      resolveModel({ model, home, signal, onProgress: ({ phase, fraction }) => report({ type: 'progress', phase, fraction }) }),
    );
    const encoder = openEncoder({ modelPath: found.path, id, source: found.source, threads, poll, passTokens });
    // The first request must not pay for the allocator's first growth and the compiler's warming up.
    encoder.encode([encoder.vocabulary.tokenizeWhole('')]);
    core = new EmbeddingCore(encoder, { maxQueue, batchShareMin });
    report({ type: 'ready', model: encoder.info, notice: undefined });
    keepCompiled();
  } catch (error) {
    report({ type: 'failed', error: toWire(error) });
  }
}

function embed({ request }: Extract<EmbeddingCommand, { type: 'embed' }>): void {
  try {
    if (!core) throw new AutoglmError('engine_unavailable', 'The embedding engine is still starting.');
    core.add(request);
    if (!stepping) scheduleStep();
  } catch (error) {
    report({ type: 'error', id: request.id, error: toWire(error) });
  }
}

function scheduleStep(): void {
  stepping = true;
  setImmediate(step);
}

/** One pass, then the gateway's messages, then the next: requests that came meanwhile share it, and an abort is heeded within one pass. */
function step(): void {
  stepping = false;
  if (!core || core.idle) return;
  const completed = core.step();
  for (const finished of completed) report({ type: 'vectors', finished });
  if (completed.length === 0) lifeSign.show();
  scheduleStep();
}

function report(message: EmbeddingReport): void {
  // When the gateway has gone, the process only cleans up.
  if (process.connected) process.send?.(message);
}
