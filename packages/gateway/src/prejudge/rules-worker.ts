import { parentPort, workerData } from 'node:worker_threads';
import { RuleSet } from './rule-set.ts';
import { parseRules } from './rule-file.ts';
import type { CheckedRules, RulesToCheck } from './read-rules.ts';

/** In a thread of its own: reads and compiles rules, and says what is wrong with them. */
const { file, yaml } = workerData as RulesToCheck;
const answer = await check();
parentPort?.postMessage(answer);

async function check(): Promise<CheckedRules> {
  try {
    const read = parseRules(file, yaml);
    await RuleSet.build(read, 1, { isWarmed: false });
    return { rules: read.rules };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}
