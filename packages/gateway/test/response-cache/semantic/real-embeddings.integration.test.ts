import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultHome } from '@open-autoglm/engine';
import { defaultConfig, startGateway, type Config } from '../../../src/main.ts';
import { answeringEngine } from './support.ts';

/** Questions, and whether the second may have the first one's answer. Nothing is trusted yet but what hardly differs. */
const cases = {
  'bge-small-zh': {
    file: 'bge-small-zh-v1.5-q8_0-v1.gguf',
    pairs: [
      ['怎么预约洗车？', '请问怎么预约洗车', 'semantic'],
      ['明天下午三点洗车要多少钱？', '明天下午四点洗车要多少钱？', 'miss'],
      ['会员能退款吗？', '会员不能退款吗？', 'miss'],
      ['从上海到北京要多久？', '从北京到上海要多久？', 'miss'],
      ['轮胎多久换一次？', '今天晚饭吃什么？', 'miss'],
    ],
  },
  minilm: {
    file: 'all-minilm-l6-v2-q8_0-v1.gguf',
    pairs: [
      ['What is the capital of France?', "what's the capital of France", 'semantic'],
      ['Is it safe to eat 2 raw eggs?', 'Is it safe to eat 12 raw eggs?', 'miss'],
      ['Why is gambling legal in Nevada?', 'Why is gambling not legal in Nevada?', 'miss'],
      ['Is Python better than Java?', 'Is Java better than Python?', 'miss'],
      ['Who wrote Hamlet?', 'Who wrote Macbeth?', 'miss'],
    ],
  },
} as const;

for (const [model, { file, pairs }] of Object.entries(cases)) {
  // Tens of megabytes are not fetched for a test: `AUTOGLM_HOME=.cache/autoglm npx autoglm pull` brings them.
  describe.skipIf(!existsSync(path.join(defaultHome(), file)))(`similar questions by ${model}, where it has been fetched`, () => {
    it('get one answer where they want it, over HTTP', async () => {
      const config: Config = {
        ...defaultConfig,
        server: { ...defaultConfig.server, port: 0, drain_timeout_ms: 200 },
        embeddings: { ...defaultConfig.embeddings, model },
        cache: {
          ...defaultConfig.cache,
          enabled: true,
          semantic: { ...defaultConfig.cache.semantic, mode: 'on', check_share: 0, timeout_ms: 30_000 },
        },
      };
      const gateway = await startGateway({ config, engine: answeringEngine({}) });
      const ask = async (content: string, tenant: string) => {
        const body = JSON.stringify({ model: 'default', temperature: 0, messages: [{ role: 'user', content }] });
        const response = await fetch(`${gateway.url}/v1/chat/completions`, {
          method: 'POST',
          body,
          headers: { 'content-type': 'application/json', 'x-autoglm-tenant': tenant },
        });
        await response.text();
        return response.headers.get('x-autoglm-cache');
      };
      try {
        // Each by itself. One in ten is checked by chance while little is known, so a hit gets several tries.
        for (const [index, [first, second, expected]] of pairs.entries()) {
          const results: (string | null)[] = [];
          for (let turn = 0; turn < 5; turn += 1) {
            await ask(first, `${index} ${turn}`);
            results.push(await ask(second, `${index} ${turn}`));
          }
          if (expected === 'semantic') expect(results, second).toContain('semantic');
          else expect(new Set(results), second).toEqual(new Set(['miss']));
        }
      } finally {
        await gateway.drain();
      }
    });
  });
}
