import { setTimeout as sleep } from 'node:timers/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { createInputSteps, ImageEncoder } from '@open-autoglm/gateway/parts';
import { median } from '@open-autoglm/statistics';
import { figure, type Figure } from '../harness/report.ts';
import { makeScreenshots, screenHeight, screenWidth } from '../images/screenshots.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const count = 12;
/** What a phone sends in good and in poor reception. */
const linksMegabits = [50, 10] as const;
const budgets = [
  { name: '1 Mpx', pixelsMax: 1_003_520 },
  { name: '0.4 Mpx', pixelsMax: 401_408 },
] as const;
const never = new AbortController().signal;

/** What screenshots weigh before and after, and what it costs to make them lighter. */
export const imagesSuite: Suite = {
  name: 'images',
  description: 'screenshots of a phone scaled to a model’s pixels: bytes, time, and what is known already',
  needsNoModel: true,
  async run(options) {
    const { onProgress } = options;
    onProgress('drawing screenshots');
    const screens = await makeScreenshots(count, 1);
    const figures: Figure[] = [];
    for (const budget of budgets)
      for (const format of ['jpeg', 'webp'] as const) figures.push(...(await measure(options, screens, budget, format)));
    return { settings: { screenshots: count, size: `${screenWidth} × ${screenHeight}`, quality: 80, runs: options.runs }, figures, notes };
  },
};

const notes = [
  'Screenshots are made up (text, rows, gradients, a noisy photograph), PNG as a phone takes them; every third is the one before again. Real ones weigh more or less than these.',
  `On a link: bytes in base64 at ${linksMegabits.join(' and ')} Mbit/s, computed, plus the measured time of preparing where they are prepared; the reference sends them as they are.`,
  '“Known”: the same screenshots a second time. “Loop delay”: the longest that the event loop was held while all were prepared one after the other, in a process that does nothing else.',
];

async function measure(
  { runs, onProgress }: SuiteOptions,
  screens: readonly Buffer[],
  { name, pixelsMax }: (typeof budgets)[number],
  format: 'jpeg' | 'webp',
): Promise<Figure[]> {
  onProgress(`${name}, ${format}`);
  const encoding = { pixelsMax, decodedPixelsMax: 50_000_000, format, quality: 80 };
  const rounds: { readonly newMs: number; readonly knownMs: number; readonly bytes: number; readonly delayMs: number }[] = [];
  for (let run = -1; run < runs; run += 1) {
    const steps = createInputSteps({ threads: 1, waiting_max: 64 });
    const encoder = new ImageEncoder(steps, 64 * 1024 * 1024);
    // Its thread is started by the first image, which is not one of them.
    await encoder.prepare(shared(screens[0] as Buffer), { ...encoding, pixelsMax: 100 }, 'image', never);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    await sleep(20);
    delay.enable();
    const seen = new Set<object>();
    const each = async () => {
      const results: { readonly ms: number; readonly bytes: number; readonly isKnown: boolean }[] = [];
      for (const screen of screens) {
        const from = performance.now();
        const image = await encoder.prepare(shared(screen), encoding, 'image', never);
        // What the encoder keeps is the very object that it gave before.
        results.push({ ms: performance.now() - from, bytes: image.bytes, isKnown: seen.has(image) });
        seen.add(image);
      }
      return results;
    };
    const first = await each();
    delay.disable();
    const again = await each();
    await steps.close();
    if (run < 0) continue;
    rounds.push({
      newMs: median(first.filter(({ isKnown }) => !isKnown).map(({ ms }) => ms)),
      knownMs: median(again.map(({ ms }) => ms)),
      bytes: median(first.map(({ bytes }) => bytes)),
      delayMs: delay.max / 1e6,
    });
  }
  const before = median(screens.map(({ length }) => length));
  const label = `${name}, ${format}`;
  const linkMs = (bytes: number, megabits: number) => (bytes * (4 / 3) * 8) / (megabits * 1000);
  return [
    figure({
      name: `${label}: bytes`,
      unit: 'MB',
      samples: rounds.map(({ bytes }) => bytes / 1e6),
      reference: { name: 'as they came', samples: rounds.map(() => before / 1e6) },
    }),
    figure({ name: `${label}: preparing a new one`, unit: 'ms', samples: rounds.map(({ newMs }) => newMs) }),
    figure({ name: `${label}: a known one`, unit: 'ms', samples: rounds.map(({ knownMs }) => knownMs) }),
    figure({ name: `${label}: loop delay`, unit: 'ms', samples: rounds.map(({ delayMs }) => delayMs) }),
    ...linksMegabits.map((megabits) =>
      figure({
        name: `${label}: on a link of ${megabits} Mbit/s`,
        unit: 'ms',
        samples: rounds.map(({ newMs, bytes }) => newMs + linkMs(bytes, megabits)),
        reference: { name: 'as they came', samples: rounds.map(() => linkMs(before, megabits)) },
      }),
    ),
  ];
}

function shared(bytes: Buffer): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(bytes.length);
  new Uint8Array(memory).set(bytes);
  return memory;
}
