import { Command, Option } from 'commander';
import { filled, integer } from '../option-values.ts';
import type { TuneCascadeOptions } from './cascade/tune-cascade.ts';

export function tuneCommand(): Command {
  return new Command('tune').description('Learn a part of the configuration from what was recorded.').addCommand(cascadeCommand());
}

function cascadeCommand(): Command {
  return new Command('cascade')
    .description('Learn which questions are worth the large model, and compare that with the length of the prompt.')
    .argument(
      '<data...>',
      'files of outcomes, one JSON object a line: prompt, cheap_ok, strong_ok and, if known, cheap_answer; or what tiers.record wrote; all of them count together',
    )
    .option('-o, --out <file>', 'write the policy, for tiers.policy_file', filled)
    .option('--test <file>', 'judge the policy on these outcomes, instead of by cross-validation', filled)
    .addOption(new Option('--by <judge>', 'what the policy looks at; both where the data has answers').choices(['prompt', 'answer']))
    .option('--seed <number>', 'of the folds and the intervals', integer, 1)
    .option('--force', 'write over a file that is there')
    .option('--json', 'print the table as JSON')
    .addHelpText('after', help)
    .action(async (data: string[], options: TuneCascadeOptions) => (await import('./cascade/tune-cascade.ts')).tuneCascade(data, options));
}

const help = `
The table says how many answers are right when a share of the questions goes to the large model: chosen by chance, by the
length of the prompt, by the learned policy, and by an oracle that knows both answers. No question is judged by a policy that
has seen it. In brackets: 95 % intervals.

  prompt   decides before anybody answers; the small model does not work in vain
  answer   decides by the small model's answer; that is slower, and much surer

Examples:
  autoglm tune cascade outcomes.jsonl --out policy.json
  autoglm tune cascade january.jsonl --test february.jsonl
  autoglm tune cascade outcomes.jsonl --by prompt --json | jq '.table[] | select(.strong_share == 0.5)'`;
