import { setImmediate as turn } from 'node:timers/promises';
import { AutoglmError } from '@open-autoglm/protocol';
import { openReference, type Reference } from '../reference/libllama.ts';
import { readGgufHeader } from '../models/gguf-header.ts';
import type { MeasuringText } from './measuring-text.ts';

/** How far a model's predictions are from its source's, token by token of a text. */
export interface TextQuality {
  /** Of the text. */
  readonly name: string;
  /** Predictions compared. */
  readonly tokens: number;
  readonly perplexity: { readonly source: number; readonly quantized: number };
  /** KL divergence of the quantized model's predictions from the source's (Kullback and Leibler 1951), in nats. */
  readonly divergence: { readonly mean: number; readonly p99: number };
  /** Share of places where both find the same token the likeliest. */
  readonly sameTop: number;
}

export interface MeasureOptions {
  readonly threads: number;
  /** Share of the work done, 0 … 1. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Tokens of a text that are looked at, at most. */
const tokensMax = 256;
/** The source's predictions of all texts are kept while the other model reads them. */
const keptBytesMax = 512 << 20;
/** Tokens between two looks at the signal. */
const batchSize = 32;

/**
 * Reads the texts with both models, one after the other, in libllama: another engine than the one that will serve them, so
 * that an error of ours would show. Each text follows the token with which the model's texts begin: chat models whose template
 * puts it there, and not their tokenizer, make next to nothing of a text without it. Memory: one model, and the predictions for
 * at most 256 tokens of each text.
 * Throws when a model cannot be loaded, or the signal's reason.
 */
export async function measureQuality(
  source: string,
  quantized: string,
  texts: readonly MeasuringText[],
  options: MeasureOptions,
): Promise<readonly TextQuality[]> {
  const half = (offset: number) => (fraction: number) => options.onProgress?.(offset + fraction / 2);
  const kept = await readTexts(source, texts, { ...options, onProgress: half(0) }, (text, logits) => ({
    text,
    predictions: logits.map(logSoftmax),
  }));
  const compared = await readTexts(quantized, texts, { ...options, onProgress: half(0.5) }, (text, logits, tokens, index) => {
    return compareText(text, tokens, (kept[index] as (typeof kept)[number]).predictions, logits.map(logSoftmax));
  });
  return compared;
}

type Use<T> = (text: MeasuringText, logits: readonly Float32Array[], tokens: readonly number[], index: number) => T;

async function readTexts<T>(
  modelPath: string,
  texts: readonly MeasuringText[],
  { threads, onProgress, signal }: MeasureOptions,
  use: Use<T>,
): Promise<T[]> {
  // Asked of the file: where it names none, libllama makes one up.
  const bos = (await readGgufHeader(modelPath)).number('tokenizer.ggml.bos_token_id');
  const reference = openReference({ modelPath, threads, contextLength: tokensMax, maxSequences: 1, batchSize });
  try {
    const limit = Math.max(2, Math.min(tokensMax, Math.floor(keptBytesMax / (4 * reference.vocabularySize * texts.length))));
    const results: T[] = [];
    for (const [index, text] of texts.entries()) {
      reference.clear();
      const tokens = beginWith(bos, reference.tokenize(text.text, { parseControl: false, addSpecial: true })).slice(0, limit);
      if (tokens.length < 2)
        throw new AutoglmError('invalid_value', `The text "${text.name}" has no two tokens to compare predictions on.`);
      const logits = await readText(reference, tokens, (fraction) => onProgress?.((index + fraction) / texts.length), signal);
      results.push(use(text, logits, tokens, index));
    }
    return results;
  } finally {
    reference.close();
  }
}

function beginWith(bos: number | undefined, tokens: readonly number[]): readonly number[] {
  return bos === undefined || tokens[0] === bos ? tokens : [bos, ...tokens];
}

async function readText(
  reference: Reference,
  tokens: readonly number[],
  onProgress: (fraction: number) => void,
  signal: AbortSignal | undefined,
): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (let start = 0; start < tokens.length; start += batchSize) {
    // libllama computes on this thread: progress and signals get their turn here.
    await turn();
    signal?.throwIfAborted();
    const batch = tokens
      .slice(start, start + batchSize)
      .map((token, index) => ({ token, position: start + index, sequence: 0, wantsLogits: true }));
    rows.push(...reference.evaluate(batch).map((row) => row.slice()));
    onProgress(Math.min(1, (start + batchSize) / tokens.length));
  }
  return rows;
}

/** In place. */
function logSoftmax(logits: Float32Array): Float32Array {
  let highest = Number.NEGATIVE_INFINITY;
  for (const value of logits) highest = Math.max(highest, value);
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - highest);
  const shift = highest + Math.log(sum);
  for (let index = 0; index < logits.length; index += 1) logits[index] = (logits[index] as number) - shift;
  return logits;
}

/** `source`, `quantized`: log-probabilities after each token; those after the last predict nothing that is known. */
function compareText(
  text: MeasuringText,
  tokens: readonly number[],
  source: readonly Float32Array[],
  quantized: readonly Float32Array[],
): TextQuality {
  const count = tokens.length - 1;
  const divergences: number[] = [];
  let [sourceLoss, quantizedLoss, same] = [0, 0, 0];
  for (let index = 0; index < count; index += 1) {
    const [a, b, next] = [source[index] as Float32Array, quantized[index] as Float32Array, tokens[index + 1] as number];
    const { divergence, sameTop } = comparePrediction(a, b);
    divergences.push(divergence);
    same += Number(sameTop);
    sourceLoss -= a[next] as number;
    quantizedLoss -= b[next] as number;
  }
  divergences.sort((a, b) => a - b);
  return {
    name: text.name,
    tokens: count,
    perplexity: { source: Math.exp(sourceLoss / count), quantized: Math.exp(quantizedLoss / count) },
    divergence: {
      mean: divergences.reduce((sum, value) => sum + value, 0) / count,
      p99: divergences[Math.min(count - 1, Math.floor(count * 0.99))] as number,
    },
    sameTop: same / count,
  };
}

function comparePrediction(a: Float32Array, b: Float32Array): { readonly divergence: number; readonly sameTop: boolean } {
  let [divergence, topA, topB] = [0, 0, 0];
  for (let token = 0; token < a.length; token += 1) {
    const [logA, logB] = [a[token] as number, b[token] as number];
    divergence += Math.exp(logA) * (logA - logB);
    if (logA > (a[topA] as number)) topA = token;
    if (logB > (b[topB] as number)) topB = token;
  }
  // Rounding may leave less than nothing.
  return { divergence: Math.max(0, divergence), sameTop: topA === topB };
}
