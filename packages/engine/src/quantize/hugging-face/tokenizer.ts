import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AutoglmError, isObject } from '@open-autoglm/protocol';
import type { GgufMetadata } from '../../models/gguf-writer.ts';
import { tokenizerMetadata, type TokenizerConfig, type TokenizerJson } from '../../models/hf-tokenizer.ts';
import { shown } from '../../models/shown.ts';
import type { HuggingFaceConfig } from './config.ts';
import { readObject } from './read-object.ts';

/** GGUF's keys for a folder's tokenizer, one token for each of the embedding's rows. Throws `engine_failed` naming what cannot be used. */
export async function readTokenizer(
  folder: string,
  { model_type: architecture, eos_token_id: eos }: HuggingFaceConfig,
  rows: number,
): Promise<GgufMetadata> {
  const tokenizer = await readObject(folder, 'tokenizer.json');
  const config = await readObject(folder, 'tokenizer_config.json');
  const generation = await readObject(folder, 'generation_config.json', {});
  // Newer versions keep the template in a file of its own.
  const template = await readFile(path.join(folder, 'chat_template.jinja'), 'utf8').catch(() => templateOf(config['chat_template']));
  try {
    const options = { architecture, size: rows, endIds: tokenIds(generation['eos_token_id'] ?? eos, rows) };
    return tokenizerMetadata(checkTokenizer(tokenizer), { ...(config as TokenizerConfig), chat_template: template }, options);
  } catch (error) {
    throw new AutoglmError('engine_failed', `${folder} cannot be used: ${(error as Error).message.replace(/\.$/, '')}.`);
  }
}

/** Older versions could save several templates, each with its purpose. */
function templateOf(template: unknown): string | undefined {
  if (typeof template === 'string') return template;
  const named = Array.isArray(template) ? template.filter(isObject) : [];
  const text = (named.find(({ name }) => name === 'default') ?? named[0])?.['template'];
  return typeof text === 'string' ? text : undefined;
}

/** One, or several where answers may end in several ways. */
function tokenIds(value: unknown, rows: number): number[] {
  return [value].flat().filter((id): id is number => isId(id) && id < rows);
}

function isId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}

function checkTokenizer(tokenizer: Record<string, unknown>): TokenizerJson {
  const { model, added_tokens: added = [] } = tokenizer;
  const refuse = (reason: string) => new Error(`tokenizer.json: ${reason}`);
  if (!isObject(model)) throw refuse('it has no model');
  if (model['type'] !== 'BPE') throw refuse(`its model is ${shown(JSON.stringify(model['type']) ?? 'of no type')}, and a BPE was expected`);
  const { vocab, merges } = model;
  if (!isObject(vocab)) throw refuse('model.vocab is no object');
  const stranger = Object.entries(vocab).find(([, id]) => !isId(id));
  if (stranger) throw refuse(`model.vocab gives the token ${shown(stranger[0])} the number ${shown(JSON.stringify(stranger[1]))}`);
  const isMerge = (pair: unknown) =>
    typeof pair === 'string' || (Array.isArray(pair) && pair.length === 2 && pair.every((part) => typeof part === 'string'));
  if (!Array.isArray(merges) || !merges.every(isMerge)) throw refuse('model.merges is no list of pairs');
  const isAdded = (token: unknown) => isObject(token) && isId(token['id']) && typeof token['content'] === 'string';
  if (!Array.isArray(added) || !added.every(isAdded)) throw refuse('added_tokens is no list of tokens with their numbers');
  return { ...tokenizer, added_tokens: added } as unknown as TokenizerJson;
}
