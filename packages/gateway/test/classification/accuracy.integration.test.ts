import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultHome } from '@open-autoglm/engine';
import { describe, expect, it } from 'vitest';
import { createMockEngine, defaultConfig, startGateway, type Config } from '../../src/main.ts';

const data = (name: string) => fileURLToPath(new URL(`../../../../../shared/data/nlu/${name}`, import.meta.url));
const readLines = <T>(name: string) =>
  readFileSync(data(name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T);

interface Labelled {
  readonly text: string;
  readonly label: string;
}

/** What a turn of a conversation with a travel guide is about, where it is one thing. */
const domains: ReadonlySet<string> = new Set(['餐馆', '景点', '酒店', '地铁', '出租']);
const turns = () =>
  readLines<{ text: string; acts: string[][] }>('crosswoz-zh.jsonl').flatMap(({ text, acts }): Labelled[] => {
    const [label, ...others] = new Set(acts.map(([, domain]) => domain as string).filter((domain) => domains.has(domain)));
    return label !== undefined && others.length === 0 ? [{ text, label }] : [];
  });

/** Each intent's name in words. */
const intents = () =>
  readLines<{ text: string; intent: string }>('clinc150-en.jsonl').map(({ text, intent }): Labelled => ({
    text,
    label: intent.replaceAll('_', ' '),
  }));

// Tens of megabytes are not fetched for a test: `AUTOGLM_HOME=.cache/autoglm npx autoglm pull` brings them.
const cases = [
  { model: 'bge-small-zh', file: 'bge-small-zh-v1.5-q8_0-v1.gguf', from: 'crosswoz-zh.jsonl', read: turns, sample: 5, accuracyMin: 0.7 },
  { model: 'minilm', file: 'all-minilm-l6-v2-q8_0-v1.gguf', from: 'clinc150-en.jsonl', read: intents, sample: 4, accuracyMin: 0.6 },
] as const;

for (const { model, file, from, read, sample, accuracyMin } of cases) {
  describe.skipIf(!existsSync(path.join(defaultHome(), file)) || !existsSync(data(from)))(
    `zero-shot classes by ${model}, where it has been fetched, of ${from}`,
    () => {
      it('are right far more often than by chance', async () => {
        const config: Config = {
          ...defaultConfig,
          server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
          embeddings: { ...defaultConfig.embeddings, model },
        };
        const gateway = await startGateway({ config, engine: createMockEngine(), env: {} });
        try {
          const all = read().filter((_, index) => index % sample === 0);
          const labels = [...new Set(all.map(({ label }) => label))];
          let right = 0;
          for (let begin = 0; begin < all.length; begin += 256) {
            const part = all.slice(begin, begin + 256);
            const response = await fetch(`${gateway.url}/v1/classify`, {
              method: 'POST',
              body: JSON.stringify({ model, labels, input: part.map(({ text }) => text) }),
              headers: { 'content-type': 'application/json' },
            });
            const { data: classified } = (await response.json()) as { data: { label: string }[] };
            right += classified.filter(({ label }, index) => label === part[index]?.label).length;
          }
          const accuracy = right / all.length;
          expect(accuracy, `${right} of ${all.length} texts, ${labels.length} classes`).toBeGreaterThan(accuracyMin);
        } finally {
          await gateway.drain();
        }
      }, 300_000);
    },
  );
}
