import { Command } from 'commander';
import { filled } from '../option-values.ts';
import type { ModelsOptions } from './models.ts';

export function modelsCommand(): Command {
  return new Command('models')
    .description('List the models in the cache folder, what memory they need and whether this machine has it.')
    .option('-c, --config <file>', 'configuration file (YAML), for its context length and the type of its KV cache', filled)
    .option('--json', 'print the list as JSON')
    .addHelpText('after', help)
    .action(async (options: ModelsOptions) => (await import('./models.ts')).models(options));
}

const help = `
Memory is that of the weights, and of the keys and values of one sequence that fills model_config.context_length; each
further one that runs at the same time needs the second part again. In brackets: with what model_config.quantization the name
means this file.

Examples:
  autoglm models
  autoglm models --json | jq '.models[] | select(.fits) | .name'`;
