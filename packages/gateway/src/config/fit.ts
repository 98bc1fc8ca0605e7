import { statSync } from 'node:fs';
import Type, { type Static } from 'typebox';

const closed = { additionalProperties: false } as const;

/** What becomes of prompts that are longer than their model reads. */
export const fitSchema = Type.Object(
  {
    /** Leaves out of every such prompt what it can best do without; only of those that ask for it (`autoglm.fit`) when false. */
    enabled: Type.Boolean(),
    /** Left free for an answer that its request does not bound, but never more than a quarter of the context. */
    reserve_tokens: Type.Integer({ minimum: 1, maximum: 10_000_000 }),
    /** Turns at the end that stay before others do. */
    recent_turns: Type.Integer({ minimum: 1, maximum: 1000 }),
    /** Models of other servers, by the name that clients use, where these do not tell or not rightly. */
    models: Type.Record(
      Type.String({ minLength: 1, maxLength: 512 }),
      Type.Object(
        {
          /** In tokens; what the server lists when not given. */
          context_length: Type.Optional(Type.Integer({ minimum: 16, maximum: 100_000_000 })),
          /**
           * `cl100k_base`, `o200k_base`, a `tokenizer.json` of Hugging Face's, `server`, which asks the server itself (`/tokenize` of
           * vLLM, SGLang and llama.cpp) and counts its chat template exactly, or `estimate`. When not given: of OpenAI's models their
           * own, by their names; of others an estimate, which is meant to be too high.
           */
          tokenizer: Type.Optional(Type.String({ minLength: 1, maxLength: 4096 })),
        },
        closed,
      ),
    ),
  },
  closed,
);

const tokenizerNames = ['cl100k_base', 'o200k_base', 'server', 'estimate'];

/** What no schema can see; `refuse` is told the key and the reason. */
export function checkFit({ models }: Static<typeof fitSchema>, refuse: (path: readonly string[], reason: string) => void): void {
  for (const [name, { tokenizer }] of Object.entries(models)) {
    if (tokenizer === undefined || tokenizerNames.includes(tokenizer) || statSync(tokenizer, { throwIfNoEntry: false })?.isFile()) continue;
    refuse(
      ['fit', 'models', name, 'tokenizer'],
      `is ${JSON.stringify(tokenizer)}, which is no file, nor one of ${tokenizerNames.join(', ')}`,
    );
  }
}

export const defaultFit: Static<typeof fitSchema> = { enabled: false, reserve_tokens: 512, recent_turns: 2, models: {} };
