import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextRate, type AdaptiveSettings } from '../../src/input/compress/adaptive-rate.ts';
import { leastRelevant, relevance, repeatedSentences, type Sentence } from '../../src/input/compress/extract.ts';
import { compressTemplate, expandTemplate } from '../../src/input/compress/template.ts';
import { factsOf, hasFacts } from '../../src/input/text/facts.ts';

const count = (text: string) => text.match(/\s?[a-z]{1,4}|[^]/giu)?.length ?? 0;
const countTexts = async (texts: readonly string[]) => texts.map(count);
const total = (texts: readonly string[]) => texts.reduce((sum, text) => sum + count(text), 0);

describe('the template dictionary', () => {
  const phrase = fc.constantFrom(
    'The ferry leaves at noon from the pier behind the old town hall',
    'Dear customer, thank you for your order number ',
    '您好，您的订单已经发货，预计三天之内送达',
    ' ~1~ ',
    '~',
    '^',
    '|',
    '@',
    '#',
    '$',
    '%',
    '1',
    '~2~ = "x"',
    '\n',
    '\n\n',
    '"',
    '\\',
    '👩‍👩‍👧‍👦',
    'e\u0301',
    '\u0301',
    '\u200d',
    '\ud83d',
    '\ude00',
    'Below, each mark such as ~1~ stands for the text after it here:\n',
    'Below, each mark such as ^1^ stands for the text after it here:\n~1~ = "a"\n\n',
    ' ',
  );
  const text = fc
    .array(fc.oneof(phrase, fc.string({ maxLength: 6 }), fc.string({ unit: 'binary', maxLength: 3 })), { maxLength: 30 })
    .map((parts) => parts.join(''));
  const repetitive = fc
    .tuple(
      fc.array(fc.string({ unit: 'grapheme', minLength: 20, maxLength: 80 }), { minLength: 1, maxLength: 3 }),
      fc.array(fc.nat(2), { minLength: 2, maxLength: 20 }),
      text,
    )
    .map(([phrases, order, tail]) => order.map((index) => phrases[index % phrases.length] as string).join(tail.slice(0, 5)) + tail);

  it('expands back byte for byte, whatever the texts hold', async () => {
    let applied = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(text, repetitive), { minLength: 1, maxLength: 5 }), async (texts) => {
        const compressed = await compressTemplate(texts, countTexts);
        if (!compressed) return;
        applied += 1;
        expect(expandTemplate(compressed.texts)).toEqual(texts);
      }),
      { numRuns: 1000 },
    );
    expect(applied).toBeGreaterThan(100);
  });

  it('says once what is said often, in fewer tokens', async () => {
    const mails = Array.from(
      { length: 12 },
      (_, index) =>
        `Dear customer, thank you very much for your order number ${index * 37}. It will be handed to the carrier within two working days.\n`,
    );
    const compressed = await compressTemplate([mails.join('')], countTexts);
    expect(compressed?.texts[0]).toMatch(/^Below, each mark such as ~1~ stands for the text after it here:\n~1~ = "/);
    expect(total(compressed?.texts ?? [])).toBeLessThan(0.6 * total(mails));
    expect(expandTemplate(compressed?.texts ?? [])).toEqual([mails.join('')]);
  });

  it('lets alone what repeats nothing, and what leaves no character for a mark', async () => {
    expect(await compressTemplate(['The ferry leaves at noon.'], countTexts)).toBeUndefined();
    const repeated = 'The ferry leaves at noon from the pier behind the old town hall. '.repeat(20);
    expect(await compressTemplate([repeated], countTexts)).toBeDefined();
    expect(await compressTemplate([repeated, '~^|@#$%§¤¦¶‡◊⟦'], countTexts)).toBeUndefined();
    expect(expandTemplate(['Below, each mark'])).toEqual(['Below, each mark']);
    expect(expandTemplate([])).toEqual([]);
  });
});

describe('facts', () => {
  it('are numbers, dates, names, negations and quotations, in both languages', () => {
    for (const fact of [
      'It costs 3.50.',
      'On Friday.',
      'He met Mr Baker.',
      'They do not swim.',
      "She can't.",
      'He said "heliotrope".',
      '三点见。',
      '下午去。',
      '我不去。',
      '没有人。',
      '王芳说好。',
      '他住在长安街。',
      '「红色」',
      'use `x`',
      'nobody knows',
      'OpenAI is there',
    ]) {
      expect([fact, hasFacts(fact)]).toEqual([fact, true]);
    }
    for (const plain of ['The bread smells good.', 'people walked along the river', '面包的香味从门缝里飘出去。', '孩子们在草地上放风筝。'])
      expect([plain, factsOf(plain)]).toEqual([plain, []]);
  });

  it('are found in time linear in what a client may send against it', () => {
    for (const unit of ["A'", '一', 'aé', 'AÀ', '“', '「', 'Éa'])
      expect(hasFacts(unit.repeat(500_000))).toBe(factsOf(unit.repeat(500_000)).length > 0);
  });
});

const sentence = (text: string, isFixed = false): Sentence => ({ text, isFixed, tokens: count(text) });

describe('sentences that say the same again', () => {
  it('go, but for the first, and not where a number, a name or a negation differs', () => {
    const texts = [
      'The ferry leaves from the old pier in the harbour every day.',
      'The ferry leaves from the old pier in the harbour every day.',
      'the ferry leaves from the old pier in the harbour, every day!',
      'The ferry does not leave from the old pier in the harbour every day.',
      'Order 1 has left the warehouse for the customer in town.',
      'Order 2 has left the warehouse for the customer in town.',
      'Yes.',
      'Yes.',
    ];
    expect([...repeatedSentences(texts.map((text) => sentence(text)))]).toEqual([1, 2]);
    expect([...repeatedSentences([sentence(texts[0] as string), sentence(texts[0] as string, true)])]).toEqual([]);
  });

  it('read the facts of each only once, however many are alike', () => {
    let reads = 0;
    const records = Array.from({ length: 100 }, (_, order) => {
      const { text, ...rest } = sentence(
        `Order ${order} has left the large warehouse by the river and is on its way to the customer in town, who will have it by the end of the day.`,
      );
      return {
        ...rest,
        get text() {
          reads += 1;
          return text;
        },
      };
    });
    expect([...repeatedSentences(records)]).toEqual([]);
    expect(reads).toBe(200);
  });
});

describe('sentences that have least to do with the question', () => {
  const texts = [
    'The baker opens early.',
    'A lighthouse keeper lives on the island.',
    'His lamp burns rapeseed oil.',
    'The tide is slow.',
    'It rained on Friday.',
    'Gulls are loud.',
  ];
  it('go first, by BM25 with a share of the neighbours', () => {
    const scores = relevance(texts, 'What does the lighthouse keeper do?');
    expect(scores.indexOf(Math.max(...scores))).toBe(1);
    expect(scores[2]).toBeGreaterThan(scores[5] as number);
    const gone = leastRelevant(
      texts.map((text) => sentence(text)),
      'What does the lighthouse keeper do?',
      { tokens: 16, gone: new Set() },
    );
    expect([...gone]).toEqual([5, 3, 2]);
  });

  it('never those that hold facts, and never those that are fixed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...texts), fc.boolean()), { maxLength: 30 }),
        fc.integer({ min: 0, max: 400 }),
        (parts, tokens) => {
          const sentences = parts.map(([text, isFixed]) => sentence(text, isFixed));
          const gone = leastRelevant(sentences, 'gulls', { tokens, gone: new Set() });
          for (const index of gone) expect([sentences[index]?.isFixed, hasFacts(sentences[index]?.text ?? '')]).toEqual([false, false]);
          const spared = [...gone].map((index) => sentences[index]?.tokens ?? 0);
          // One sentence less would be too few.
          if (spared.length > 0) expect(spared.reduce((sum, own) => sum + own, 0) - (spared.at(-1) as number)).toBeLessThan(tokens);
        },
      ),
    );
  });
});

describe('the adaptive rate', () => {
  const settings: AdaptiveSettings = { rateMin: 0.15, rateMax: 0.62, lowMs: 500, highMs: 5000, hysteresis: 0.1 };
  const reading = fc.integer({ min: 0, max: 20_000 });
  const run = (readings: readonly (number | undefined)[], from = settings.rateMin) =>
    readings.reduce<number[]>((rates, ms) => [...rates, nextRate(rates.at(-1) ?? from, ms, settings)], []);

  it('goes from 15 % at rest to 62 % under load, and back', () => {
    expect(run([100, 500, 2750, 5000, 60_000, 250, undefined]).map((rate) => rate.toFixed(3))).toEqual([
      '0.150',
      '0.150',
      '0.385',
      '0.620',
      '0.620',
      '0.150',
      '0.150',
    ]);
  });

  it('stays within its bounds, and never below what the load asks for', () => {
    fc.assert(
      fc.property(fc.array(fc.option(reading, { nil: undefined })), fc.double({ min: -1, max: 2, noNaN: true }), (readings, from) => {
        for (const rate of run(readings, from)) expect(rate >= settings.rateMin && rate <= settings.rateMax).toBe(true);
      }),
    );
    fc.assert(
      fc.property(fc.double({ min: 0.15, max: 0.62, noNaN: true }), reading, reading, (rate, a, b) => {
        expect(nextRate(rate, Math.max(a, b), settings)).toBeGreaterThanOrEqual(nextRate(rate, Math.min(a, b), settings));
      }),
    );
  });

  it('does not follow noise that is smaller than the hysteresis', () => {
    // 0.1 of the rate are about 957 ms.
    fc.assert(
      fc.property(
        fc.integer({ min: 1000, max: 4000 }),
        fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 2, maxLength: 40 }),
        (base, noise) => {
          const rates = run([base + 900, ...noise.map((ms) => base + ms)]);
          expect(new Set(rates).size).toBe(1);
        },
      ),
    );
  });
});
