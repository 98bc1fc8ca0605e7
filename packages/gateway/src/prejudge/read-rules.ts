import { Worker } from 'node:worker_threads';
import { ConfigError } from '../common/config-error.ts';
import { parseRules, type Rule, type RuleFile } from './rule-file.ts';

export interface RulesToCheck {
  readonly file: string;
  readonly yaml: string;
}

export type CheckedRules = { readonly rules: readonly Rule[] } | { readonly problem: string };

/** Files of fewer characters are read here: it takes some 10 ms, and starting a thread more than that. */
const hereMax = 8192;
/** Of the thread's heap; 10,000 rules take a fifth of it. */
const heapMegabytesMax = 1024;

/**
 * Reads rules while requests go on: parsing YAML cannot be taken apart, and a thousand rules take a third of a second of it. They are
 * compiled there as well, so that what is wrong with one is told with its line; compiled patterns cannot be handed over. Rejects with
 * `ConfigError`.
 */
export async function readRules(file: string, yaml: string): Promise<RuleFile> {
  if (yaml.length <= hereMax) return parseRules(file, yaml);
  const program = import.meta.url.endsWith('.ts') ? './rules-worker.ts' : './rules-worker.js';
  const worker = new Worker(new URL(program, import.meta.url), {
    workerData: { file, yaml } satisfies RulesToCheck,
    execArgv: ['--no-warnings'],
    name: 'rules',
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
  });
  worker.unref();
  try {
    const checked = await new Promise<CheckedRules>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`The thread that read the rules ended with ${code}.`)));
    });
    if ('problem' in checked) throw new ConfigError(checked.problem);
    return { rules: checked.rules, refuse: wasTaken };
  } finally {
    await worker.terminate();
  }
}

function wasTaken(): never {
  throw new Error('The rules were taken by one compilation and refused by the next.');
}
