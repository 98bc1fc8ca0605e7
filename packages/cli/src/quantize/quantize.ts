import { readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { isFileSystemError } from '@open-autoglm/engine/file-system-error';
import type { MeasuringText, TargetType } from '@open-autoglm/engine/quantize';
import { messageOf, UserError } from '../failure.ts';
import { isSameFile } from '../same-file.ts';
import { createProgressBar } from '../terminal/progress-bar.ts';
import { formatReport, type QuantizeReport } from './report.ts';

export interface QuantizeCommandOptions {
  readonly type: TargetType;
  readonly text?: string;
  readonly quality: boolean;
  readonly threads?: number;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** What the report's KV cache is counted for: the configuration's defaults. */
const kv = { contextLength: 8192, kvType: 'f16' } as const;

/** Quantizes, compares, reports. Rejects with what is wrong with either file. */
export async function quantize(source: string, target: string, options: QuantizeCommandOptions): Promise<void> {
  await checkTarget(source, target, options);
  if (options.text !== undefined && !options.quality)
    throw new UserError('--text is for comparing, and --no-quality asks for no comparison.');
  const texts = await readTexts(options.text);
  const engine = await import('@open-autoglm/engine/quantize');
  const threads = engine.usableThreads(options.threads);
  const bar = createProgressBar(process.stderr);
  const controller = new AbortController();
  let isWritten = false;
  const interrupt = () =>
    controller.abort(new UserError(isWritten ? `stopped; ${target} is written, but was not compared` : 'stopped; nothing was written'));
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  const { signal } = controller;
  const whole = `${target}.source.tmp`;
  try {
    const model = await engine.openSource(source).catch((error: unknown) => {
      throw isFileSystemError(error) ? new UserError(`${source} cannot be read: ${error.message}`) : error;
    });
    const sizes = await engine.quantizeModel(model, target, {
      type: options.type,
      threads,
      signal,
      onProgress: (fraction) => bar.report(fraction, `quantizing to ${options.type}: ${percent(fraction)}`),
    });
    isWritten = true;
    const compare = async () => {
      const isFolder = (await stat(source)).isDirectory();
      try {
        // Whoever compares reads a GGUF: for as long as that takes, one of the folder's weights as they are.
        if (isFolder)
          await engine.quantizeModel(model, whole, {
            type: undefined,
            threads,
            signal,
            onProgress: (fraction) => bar.report(fraction, `preparing to compare: ${percent(fraction)}`),
          });
        return await engine.measureQuality(isFolder ? whole : source, target, texts ?? engine.measuringTexts, {
          threads,
          signal,
          onProgress: (fraction) => bar.report(fraction, `comparing the models: ${percent(fraction)}`),
        });
      } catch (error) {
        signal.throwIfAborted();
        throw new UserError(`${target} is written, but was not compared: ${messageOf(error)}`);
      } finally {
        if (isFolder) await rm(whole, { force: true });
      }
    };
    const memory = engine.memoryNeed(await engine.readGgufHeader(target), kv);
    const quality = options.quality ? await compare() : undefined;
    bar.clear();
    const report: QuantizeReport = { file: target, type: options.type, sizes, memory, ...(quality && { quality }) };
    process.stdout.write(
      options.json ? `${JSON.stringify(report)}\n` : formatReport(report, options.text ?? 'the text that comes with autoglm'),
    );
  } catch (error) {
    throw isFileSystemError(error) ? new UserError(`${target} cannot be written: ${error.message}`) : error;
  } finally {
    bar.clear();
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

async function checkTarget(
  source: string,
  target: string,
  { force = false, text }: Pick<QuantizeCommandOptions, 'force' | 'text'>,
): Promise<void> {
  const found = await stat(target).catch(() => undefined);
  if (path.resolve(source) === path.resolve(target) || (await isSameFile(target, source)))
    throw new UserError('OUT must be another file than IN.');
  if (text !== undefined && (await isSameFile(target, text))) throw new UserError('OUT must be another file than --text.');
  // --force is for what was made before, not for what it is made of.
  const isPartOfSource =
    found?.isFile() && path.extname(target) !== '.gguf' && (await isSameFile(path.dirname(path.resolve(target)), source));
  if (isPartOfSource) throw new UserError(`${target} is a file of IN: choose another name.`);
  if (found?.isDirectory()) throw new UserError(`${target} is a folder: name the file to write.`);
  if (found && !force) throw new UserError(`${target} is there already: choose another name, or --force to write over it.`);
}

async function readTexts(file: string | undefined): Promise<readonly MeasuringText[] | undefined> {
  if (file === undefined) return undefined;
  const text = await readFile(file, 'utf8').catch((error: Error) => {
    throw new UserError(`--text ${file} cannot be read: ${error.message}`);
  });
  if (text.trim() === '') throw new UserError(`--text ${file} has nothing to compare predictions on.`);
  return [{ name: path.basename(file), text }];
}

function percent(fraction: number): string {
  return `${Math.floor(fraction * 100)} %`;
}
