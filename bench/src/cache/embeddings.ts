import { median } from '@open-autoglm/statistics';
import { Pool } from 'undici';
import { startBeside, startGateway } from '../gateway/processes.ts';
import { figure, type Figure } from '../harness/report.ts';
import type { SuiteOptions } from '../suites/suite.ts';

const model = 'minilm';
const texts = 400;
const clients = 8;

/** Texts that were never seen against the same texts again, one a request, through a gateway that runs the encoder. */
export async function measureEmbeddings({
  runs,
  onProgress,
}: SuiteOptions): Promise<{ readonly figures: Figure[]; readonly notes: string[] }> {
  const backend = await startBeside('./fake-backend-process.ts');
  const gateway = await startGateway({
    engines: [{ kind: 'openai', url: `${backend.url}/v1`, model: 'bench' }],
    embeddings: { model },
    cache: { enabled: true },
  }).catch((error: unknown) => backend.stop().then(() => Promise.reject(error as Error)));
  const pool = new Pool(gateway.url, { connections: clients });
  const ask = async (input: string) => {
    const sentAt = performance.now();
    const { statusCode, body } = await pool.request({
      path: '/v1/embeddings',
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, input, encoding_format: 'base64' }),
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`the gateway answered ${statusCode}: ${text.slice(0, 200)}`);
    return performance.now() - sentAt;
  };
  const askAll = async (inputs: readonly string[]) => {
    const waiting = [...inputs];
    const latenciesMs: number[] = [];
    const startedAt = performance.now();
    await Promise.all(
      Array.from({ length: clients }, async () => {
        for (let input = waiting.pop(); input !== undefined; input = waiting.pop()) latenciesMs.push(await ask(input));
      }),
    );
    return { rate: (inputs.length * 1000) / (performance.now() - startedAt), p50: median(latenciesMs) };
  };
  const [fresh, known]: [{ rate: number; p50: number }[], { rate: number; p50: number }[]] = [[], []];
  try {
    for (let run = 0; run <= runs; run += 1) {
      onProgress(run === 0 ? 'embeddings, warming up' : `embeddings, round ${run} of ${runs}`);
      const inputs = Array.from({ length: texts }, (_, index) => `In round ${run}, what is the capital of the country number ${index}?`);
      const [first, again] = [await askAll(inputs), await askAll(inputs)];
      if (run === 0) continue;
      fresh.push(first);
      known.push(again);
    }
  } finally {
    await pool.close();
    await Promise.all([gateway.stop(), backend.stop()]);
  }
  const line = (name: string, unit: 'texts/s' | 'ms', of: (result: { rate: number; p50: number }) => number) =>
    figure({ name, unit, samples: known.map(of), reference: { name: 'never seen', samples: fresh.map(of) } });
  return {
    figures: [
      line(`embeddings of known texts, ${clients} clients`, 'texts/s', ({ rate }) => rate),
      line('embedding of a known text, p50', 'ms', ({ p50 }) => p50),
    ],
    notes: [`Embeddings: ${model}, ${texts} short texts a round, one a request, first never seen and then again, from memory.`],
  };
}
