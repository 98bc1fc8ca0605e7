import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** One question, as two models answered it. */
export interface Outcome {
  readonly prompt: string;
  readonly cheapRight: boolean;
  readonly strongRight: boolean;
  readonly cheapAnswer: string | undefined;
  /** What scorers said of the cheap answer, by name. */
  readonly cheapScores: Readonly<Record<string, number>> | undefined;
}

const outcomesMax = 1_000_000;
const linesWrongTold = 3;

/**
 * Reads outcomes, one JSON object a line: `prompt`, `cheap_ok` and `strong_ok`, and where they are known `cheap_answer` and `cheap_scores`. Other
 * fields are nobody's affair. Throws an error that names the file and the lines.
 */
export async function readOutcomes(file: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const wrong: string[] = [];
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Infinity })) {
    number += 1;
    if (line.trim() === '') continue;
    const outcome = toOutcome(line);
    if (typeof outcome === 'string') wrong.push(`${file}:${number}: ${outcome}`);
    else outcomes.push(outcome);
    if (outcomes.length > outcomesMax) throw new Error(`${file} has more than ${outcomesMax} outcomes; give it in parts.`);
    if (wrong.length >= linesWrongTold) break;
  }
  if (wrong.length > 0) throw new Error(`${wrong.join('\n')}\nEach line must be a JSON object with prompt, cheap_ok and strong_ok.`);
  return outcomes;
}

function toOutcome(line: string): Outcome | string {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(line) as Record<string, unknown> | null;
  } catch (error) {
    return `this is not JSON: ${(error as Error).message}`;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'this is no JSON object';
  const { prompt, cheap_ok: cheapRight, strong_ok: strongRight, cheap_answer: cheapAnswer, cheap_scores: cheapScores } = value;
  if (typeof prompt !== 'string' || prompt === '') return 'prompt must be a text';
  if (typeof cheapRight !== 'boolean') return 'cheap_ok must be true or false';
  if (typeof strongRight !== 'boolean') return 'strong_ok must be true or false';
  if (cheapAnswer !== undefined && cheapAnswer !== null && typeof cheapAnswer !== 'string') return 'cheap_answer must be a text';
  if (cheapScores !== undefined && cheapScores !== null && !isScores(cheapScores)) return 'cheap_scores must be an object of numbers';
  return { prompt, cheapRight, strongRight, cheapAnswer: cheapAnswer ?? undefined, cheapScores: (cheapScores ?? undefined) as Outcome['cheapScores'] };
}

function isScores(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every((score) => typeof score === 'number' && Number.isFinite(score));
}
