import type { GatewayRequest } from '@open-autoglm/protocol';
import { defaultScanCharactersMax, RuleSet } from './rule-set.ts';

/** Rules without a gateway: what they say of a user's text, by their names. Rejects with `ConfigError`. */
export async function compileRules(path: string, yaml: string): Promise<(text: string) => readonly string[]> {
  const rules = await RuleSet.compile(path, yaml, defaultScanCharactersMax);
  return (text) => rules.judge(requestOf(text), false).met.map(({ rule }) => rule.name);
}

function requestOf(text: string): GatewayRequest {
  return {
    id: '', model: 'default', tenant: '', input: { kind: 'chat', messages: [{ role: 'user', content: text }] }, prompts: undefined, stream: false, choiceCount: 1,
    sampling: {}, maxTokens: undefined, stop: [], topLogprobs: undefined, signal: new AbortController().signal, emit: () => {},
  };
}
