import { Command } from 'commander';

export function pullCommand(): Command {
  return new Command('pull')
    .description('Fetch a model into the cache folder, from Hugging Face or ModelScope.')
    .argument(
      '<model>',
      'hf:OWNER/NAME[:FILE.gguf], ms:OWNER/NAME[:FILE.gguf], or a name that autoglm models says is not fetched yet, such as tinyllama',
    )
    .addHelpText('after', help)
    .action(async (model: string) => (await import('./pull.ts')).pull(model));
}

const help = `
Without a file, the repository's only GGUF is taken; if there are several, they are listed. A transfer that broke goes on
where it ended when the same command is given again. The file is checked by its SHA-256 before it gets its name.

Environment:
  HF_ENDPOINT           another address that speaks Hugging Face's API, such as a mirror
  HF_TOKEN              opens private and gated repositories; sent to that address alone
  MODELSCOPE_ENDPOINT   the same for ModelScope
  AUTOGLM_HOME          the cache folder

Examples:
  autoglm pull hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:qwen2.5-0.5b-instruct-q8_0.gguf
  autoglm serve --model qwen2.5-0.5b-instruct-q8_0
  HF_ENDPOINT=https://hf-mirror.com autoglm pull hf:Qwen/Qwen3-0.6B-GGUF
  autoglm models`;
