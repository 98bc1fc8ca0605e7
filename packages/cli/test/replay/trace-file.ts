import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A file with this text, until it is disposed of. */
export async function withFile(
  text: string,
  name = 'trace.jsonl',
): Promise<{ readonly path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-'));
  const file = path.join(folder, name);
  await writeFile(file, text);
  return { path: file, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

/** Azure's JSON Lines, from times in seconds. */
export function azureTrace(seconds: readonly number[], { prompt = 20, output = 3 } = {}): string {
  return seconds.map((t) => JSON.stringify({ t, prompt_tokens: prompt, output_tokens: output })).join('\n');
}
