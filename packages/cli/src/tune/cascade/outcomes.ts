import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

/** One question, as two models answered it. */
export interface Outcome {
  /** Of one that was recorded without contents, nothing but its numbers; never two alike where the prompts differ in what is looked at. */
  readonly prompt: string;
  /** What a policy looks at, where the prompt and the answer themselves were not recorded. */
  readonly numbers?: { readonly prompt: Numbers; readonly answer: Numbers | undefined } | undefined;
  readonly cheapRight: boolean;
  readonly strongRight: boolean;
  readonly cheapAnswer: string | undefined;
  /** What scorers said of the cheap answer, by name. */
  readonly cheapScores: Readonly<Record<string, number>> | undefined;
}

type Numbers = Readonly<Record<string, number>>;

/** Outcomes, how many recorded questions nobody has judged, and how many recorded lines say nothing that can be read. */
export interface ReadOutcomes {
  readonly outcomes: readonly Outcome[];
  readonly unjudged: number;
  readonly unreadable: number;
}

const outcomesMax = 1_000_000;
const linesWrongTold = 3;

/**
 * Reads outcomes, one JSON object a line: `prompt`, `cheap_ok` and `strong_ok`, and where they are known `cheap_answer` and
 * `cheap_scores`. Of what a gateway has recorded (`tiers.record`), judgements that have a line of their own are joined to their
 * questions by `id`, in whichever of the files, the last word of each counts, and questions that nobody has judged on both sides are
 * left out, and so are lines that cannot be read, such as one that was cut off when the gateway was killed. Other fields are nobody's
 * affair. Of what nobody recorded such a line is an error that names the file and the lines.
 */
export async function readOutcomes(files: readonly string[]): Promise<ReadOutcomes> {
  const read: Collected = { questions: [], judgements: new Map(), unreadable: 0 };
  for (const file of files) await readLines(file, read);
  const { questions, judgements, unreadable } = read;
  const outcomes = questions.flatMap(({ id, judgement, outcome }) => {
    const { cheapRight, strongRight } = { ...judgement, ...(id === undefined ? {} : judgements.get(id)) };
    return cheapRight === undefined || strongRight === undefined ? [] : [{ ...(outcome as Unjudged), cheapRight, strongRight }];
  });
  return { outcomes, unjudged: questions.length - outcomes.length, unreadable };
}

interface Collected {
  readonly questions: Line[];
  readonly judgements: Map<string, Judgement>;
  unreadable: number;
}

async function readLines(file: string, read: Collected): Promise<void> {
  const { questions, judgements } = read;
  const wrong: string[] = [];
  let [number, wrongCount, isRecorded] = [0, 0, false];
  for await (const text of createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Infinity })) {
    number += 1;
    if (text.trim() === '') continue;
    const line = toLine(text);
    isRecorded ||= typeof line === 'object' && line.id !== undefined;
    if (typeof line === 'string') {
      wrongCount += 1;
      if (wrongCount <= linesWrongTold) wrong.push(`${file}:${number}: ${line}`);
    } else if (line.isQuestion) questions.push(line);
    else judgements.set(line.id as string, { ...judgements.get(line.id as string), ...line.judgement });
    if (questions.length > outcomesMax || judgements.size > outcomesMax)
      throw new Error(`${file} has the outcome beyond ${outcomesMax}, which is as many as can be learned from: give fewer.`);
  }
  if (wrongCount > 0 && !isRecorded)
    throw new Error(`${wrong.join('\n')}\nEach line must be a JSON object with prompt, cheap_ok and strong_ok.`);
  read.unreadable += wrongCount;
}

type Unjudged = Omit<Outcome, 'cheapRight' | 'strongRight'>;

interface Judgement {
  readonly cheapRight?: boolean;
  readonly strongRight?: boolean;
}

/** A question, whether it is judged or not, or a judgement alone. */
interface Line {
  readonly isQuestion: boolean;
  readonly id: string | undefined;
  readonly judgement: Judgement;
  readonly outcome: Unjudged | undefined;
}

function toLine(line: string): Line | string {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(line) as Record<string, unknown> | null;
  } catch (error) {
    return `this is not JSON: ${(error as Error).message}`;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'this is no JSON object';
  const {
    id,
    prompt,
    cheap_ok: cheapRight,
    strong_ok: strongRight,
    cheap_answer: cheapAnswer,
    cheap_scores: cheapScores,
    prompt_numbers: promptNumbers,
    answer_numbers: answerNumbers,
  } = value;
  const isRecorded = typeof id === 'string' && id !== '' && value['at_ms'] !== undefined;
  const judgement = { ...(typeof cheapRight === 'boolean' && { cheapRight }), ...(typeof strongRight === 'boolean' && { strongRight }) };
  if (isRecorded && prompt === undefined && promptNumbers === undefined) return { isQuestion: false, id, judgement, outcome: undefined };
  const isNumbers = isRecorded && isScores(promptNumbers) && promptNumbers['characters'] !== undefined;
  if (isRecorded && promptNumbers !== undefined && !isNumbers) return 'prompt_numbers must be an object of numbers, characters among them';
  if (!isNumbers && (typeof prompt !== 'string' || prompt === '')) return 'prompt must be a text';
  if (!isRecorded && typeof cheapRight !== 'boolean') return 'cheap_ok must be true or false';
  if (!isRecorded && typeof strongRight !== 'boolean') return 'strong_ok must be true or false';
  if (cheapAnswer !== undefined && cheapAnswer !== null && typeof cheapAnswer !== 'string') return 'cheap_answer must be a text';
  if (cheapScores !== undefined && cheapScores !== null && !isScores(cheapScores)) return 'cheap_scores must be an object of numbers';
  if (answerNumbers !== undefined && answerNumbers !== null && !isScores(answerNumbers))
    return 'answer_numbers must be an object of numbers';
  const outcome: Unjudged = {
    prompt: isNumbers ? JSON.stringify(promptNumbers) : (prompt as string),
    numbers: isNumbers ? { prompt: promptNumbers, answer: (answerNumbers ?? undefined) as Numbers | undefined } : undefined,
    cheapAnswer: cheapAnswer ?? undefined,
    cheapScores: (cheapScores ?? undefined) as Outcome['cheapScores'],
  };
  return { isQuestion: true, id: isRecorded ? id : undefined, judgement, outcome };
}

function isScores(value: unknown): value is Numbers {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((score) => typeof score === 'number' && Number.isFinite(score))
  );
}
