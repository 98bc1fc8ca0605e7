import { defaultScanCharactersMax, RuleSet } from './rule-set.ts';
import { sampleRequest } from './sample-request.ts';

/** Rules without a gateway: what they say of a user's text, by their names. Rejects with `ConfigError`. */
export async function compileRules(path: string, yaml: string): Promise<(text: string) => readonly string[]> {
  const rules = await RuleSet.compile(path, yaml, defaultScanCharactersMax);
  return (text) => rules.judge(sampleRequest(text), false).met.map(({ rule }) => rule.name);
}
