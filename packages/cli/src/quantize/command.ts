import { Command, Option } from 'commander';
import { filled, threads } from '../option-values.ts';
import type { QuantizeCommandOptions } from './quantize.ts';

export function quantizeCommand(): Command {
  return new Command('quantize')
    .description('Make a model smaller and faster, and say what that costs.')
    .argument(
      '<in>',
      'a GGUF file of f32, f16 or bf16 weights, or a folder as Hugging Face has it (config.json, tokenizer.json, *.safetensors)',
    )
    .argument('<out>', 'the GGUF file to write')
    .addOption(
      new Option('--type <type>', 'what the weights become').choices(['q8_0', 'q6_k', 'q4_k', 'q4_0', 'f16']).makeOptionMandatory(),
    )
    .option('--text <file>', 'compare the models on this text, instead of the one that comes with autoglm', filled)
    .option('--no-quality', 'do not compare the models')
    .option('-t, --threads <number>', 'threads that compute; all cores when not given', threads)
    .option('--force', 'write over a file that is there')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', help)
    .action(async (source: string, target: string, options: QuantizeCommandOptions) =>
      (await import('./quantize.ts')).quantize(source, target, options),
    );
}

const help = `
The report goes to standard output, progress to standard error. OUT gets its name only when it is whole.

  q8_0   about 0.53 of f16; the answers hardly change
  q6_k   about 0.41
  q4_k   about 0.3, with the sensitive matrices in q6_k: the same choice as llama.cpp's Q4_K_M
  q4_0   about 0.28, the fastest on many processors

Examples:
  autoglm quantize qwen2.5-1.5b-f16.gguf qwen2.5-1.5b-q4_k.gguf --type q4_k
  autoglm quantize ./Qwen3-0.6B qwen3-0.6b-q4_k.gguf --type q4_k
  autoglm quantize model-bf16.gguf model-q8_0.gguf --type q8_0 --text article.txt`;
