import { expect, it } from 'vitest';
import { conversation, documents, fitPlaces } from '../../src/input/prompts.ts';

const turns = 8;
const rounds = 12;

it('a conversation shares no sentence of its filler with another, whose pieces a server has counted', () => {
  const seen = new Set<string>();
  for (const place of fitPlaces) {
    for (let turn = 0; turn < turns; turn += 1) {
      // A fact that is planted within a sentence leaves a part of it on either side.
      const sentences = new Set(
        conversation(place, turn)
          .messages.flatMap(({ content }) => content.split(/(?<=。)/))
          .filter((sentence) => /^\d\d号/.test(sentence)),
      );
      expect(sentences.size).toBeGreaterThan(100);
      expect([...sentences].filter((sentence) => seen.has(sentence))).toEqual([]);
      for (const sentence of sentences) seen.add(sentence);
    }
  }
});

it('no document comes again in another round, whose keys and values a server has kept', () => {
  const texts = Array.from({ length: rounds }, (_, round) => documents(round))
    .flat()
    .map(({ text }) => text);
  expect(new Set(texts).size).toBe(texts.length);
});
