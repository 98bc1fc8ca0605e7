import type { Engine, PromptReplica } from '@open-autoglm/protocol';
import { generateChoices } from './generate-choices.ts';

/** An engine of ours, which generates one sequence at a time, as a replica that answers whole requests. */
export function promptReplica(engine: Engine, name: string = engine.name): PromptReplica {
  return {
    takes: 'prompts',
    name,
    get status() {
      return engine.status;
    },
    get stats() {
      return engine.stats;
    },
    ready: (signal) => engine.ready(signal),
    countTokens: (segments, signal) => engine.countTokens(segments, signal),
    answer: (request) => generateChoices(engine, request),
    close: () => engine.close(),
  };
}
