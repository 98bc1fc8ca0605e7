import { openEngine } from '../contestants/engine.ts';

/** What makes every answer of a model as long as it may be. */
export interface NoEarlyEnd {
  readonly vocabularySize: number;
  /** Of a request: greedy, and no token that ends an answer may be drawn. */
  readonly body: { readonly temperature: 0; readonly logit_bias: Readonly<Record<string, number>> };
}

/** Opens the model for its vocabulary alone, and closes it. */
export async function noEarlyEnd(modelPath: string, threads: number): Promise<NoEarlyEnd> {
  const engine = openEngine({ modelPath, threads, sequenceLength: 64, maxSequences: 1, maxPrompt: 64 });
  const { vocabulary } = engine.model;
  const ends = Array.from({ length: vocabulary.size }, (_, token) => token).filter((token) => vocabulary.endsGeneration(token));
  await engine.close();
  return { vocabularySize: vocabulary.size, body: { temperature: 0, logit_bias: Object.fromEntries(ends.map((token) => [token, -100])) } };
}
