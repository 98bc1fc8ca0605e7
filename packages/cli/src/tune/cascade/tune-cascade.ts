import { rename, rm, stat, writeFile } from 'node:fs/promises';
import { isFileSystemError } from '@open-autoglm/engine/file-system-error';
import { policyFormat, policyVersion, predict, type JudgedBy, type PolicyFile } from '@open-autoglm/gateway/cascade-policy';
import { UserError } from '../../failure.ts';
import { isSameFile } from '../../same-file.ts';
import { createProgressBar } from '../../terminal/progress-bar.ts';
import { compare, shareOf, type Comparison, type Way } from './curve.ts';
import { canLearnBy, learn, lengthOf, observe, outcomesMin, type Learned } from './learn.ts';
import { readOutcomes, type Outcome } from './outcomes.ts';
import { formatReport, type CascadeReport } from './report.ts';

export interface TuneCascadeOptions {
  readonly out?: string;
  readonly test?: string;
  readonly by?: JudgedBy;
  readonly seed: number;
  readonly force?: boolean;
  readonly json?: boolean;
}

type LearnedBy = Partial<Record<JudgedBy, Learned>>;

/** Learns, judges, writes, reports. Rejects with what is wrong with the data. */
export async function tuneCascade(files: readonly string[], options: TuneCascadeOptions): Promise<void> {
  const outcomes = await readChecked(files);
  checkQuestions(outcomes, files);
  const test = options.test === undefined ? undefined : await readChecked([options.test]);
  const judges = judgesOf(outcomes, test, options.by);
  // Learning takes minutes; that the file cannot be written must be known before.
  const target =
    options.out === undefined
      ? undefined
      : await openTarget(options.out, [...files, ...(options.test === undefined ? [] : [options.test])], options.force ?? false);
  const judged = test ?? outcomes;
  const table = await (async () => {
    const learned = learnAll(outcomes, judges, options.seed);
    const compared = compare(judged, waysOf(judged, learned, test !== undefined), options.seed);
    await target?.write(policyOf(outcomes, learned, compared));
    return compared;
  })().finally(() => target?.drop());
  const report: CascadeReport = {
    questions: outcomes.length,
    tested: test ? { questions: test.length, by: 'another file' } : { questions: outcomes.length, by: 'cross-validation' },
    cheap: shareOf(judged, ({ cheapRight }) => cheapRight),
    strong: shareOf(judged, ({ strongRight }) => strongRight),
    table,
    ...(options.out !== undefined && { policy: options.out }),
    ...(judges.includes('answer') ? {} : { missing: missingAnswers(options.by) }),
  };
  process.stdout.write(options.json ? `${JSON.stringify(jsonOf(report))}\n` : formatReport(report));
}

function missingAnswers(by: JudgedBy | undefined): string {
  return by === undefined
    ? 'Some outcomes have no cheap_answer, so the policy looks at prompts alone: use it with tiers.decide: prompt.'
    : '';
}

/** Of all files together: recordings of a day each are few by themselves, and a judgement may come a day after its question. */
async function readChecked(files: readonly string[]): Promise<Outcome[]> {
  const names = files.join(', ');
  const { outcomes, unjudged, unreadable } = await readOutcomes(files).catch((error: unknown) => {
    throw new UserError(isFileSystemError(error) ? `${error.path ?? names} cannot be read: ${error.message}` : (error as Error).message);
  });
  if (unreadable > 0)
    process.stderr.write(`${names}: left out ${unreadable} ${unreadable === 1 ? 'line that is' : 'lines that are'} no recorded outcome.\n`);
  const others = unjudged > 0 ? `; ${unjudged} more have no cheap_ok or no strong_ok (POST /v1/cascade/feedback)` : '';
  if (outcomes.length < outcomesMin)
    throw new UserError(
      `${names} ${files.length === 1 ? 'has' : 'have'} ${outcomes.length} ${outcomes.length === 1 ? 'outcome' : 'outcomes'}; at least ${outcomesMin} are needed${others}.`,
    );
  return [...outcomes];
}

/** The same question again and again is one: a fold without it would have nothing to learn from. */
function checkQuestions(outcomes: readonly Outcome[], files: readonly string[]): void {
  const { size } = new Set(outcomes.map(({ prompt }) => prompt));
  if (size < outcomesMin)
    throw new UserError(
      `${files.join(', ')}: the ${outcomes.length} outcomes are of ${size} different ${size === 1 ? 'question' : 'questions'}; at least ${outcomesMin} are needed.`,
    );
}

function judgesOf(outcomes: readonly Outcome[], test: readonly Outcome[] | undefined, by: JudgedBy | undefined): JudgedBy[] {
  const hasAnswers = canLearnBy(outcomes, 'answer') && (!test || canLearnBy(test, 'answer'));
  if (by === 'answer' && !hasAnswers) throw new UserError('--by answer needs a cheap_answer in every outcome.');
  return by === 'prompt' || !hasAnswers ? ['prompt'] : ['prompt', 'answer'];
}

/** A place for the policy while it is not whole: what is there already is kept until then. */
async function openTarget(file: string, read: readonly string[], mayReplace: boolean): Promise<PolicyTarget> {
  const found = await stat(file).catch(() => undefined);
  if (found?.isDirectory()) throw new UserError(`${file} is a folder: name the file to write.`);
  // --force is for an older policy, not for what it was learned from.
  for (const data of read) if (await isSameFile(file, data)) throw new UserError(`${file} is a file of outcomes: choose another name.`);
  if (found && !mayReplace) throw new UserError(`${file} is there already; --force writes over it.`);
  const part = `${file}.part`;
  await writeFile(part, '').catch((error: Error) => {
    throw new UserError(`${file} cannot be written: ${error.message}`);
  });
  // Ctrl-C ends the process while it learns: nothing may stand there then.
  await rm(part, { force: true });
  return {
    async write(policy) {
      await writeFile(part, `${JSON.stringify(policy)}\n`);
      await rename(part, file);
    },
    drop: () => rm(part, { force: true }),
  };
}

interface PolicyTarget {
  write(policy: PolicyFile): Promise<void>;
  /** Idempotent. */
  drop(): Promise<void>;
}

function learnAll(outcomes: readonly Outcome[], judges: readonly JudgedBy[], seed: number): LearnedBy {
  const bar = createProgressBar(process.stderr);
  const learned: LearnedBy = {};
  for (const by of judges)
    learned[by] = learn(outcomes, by, {
      seed,
      onProgress: (share) => bar.report(share, `learning from the ${by}s: ${Math.round(share * 100)} %`),
    });
  bar.clear();
  return learned;
}

function waysOf(judged: readonly Outcome[], learned: LearnedBy, isOther: boolean): [Way, ...Way[]] {
  const way = (by: JudgedBy): Way[] => {
    const found = learned[by];
    if (!found) return [];
    return [{ name: by, scores: isOther ? judged.map((outcome) => predict(found.model, observe(outcome, by)).gain) : found.gains }];
  };
  return [{ name: 'length', scores: judged.map(lengthOf) }, ...way('prompt'), ...way('answer')];
}

function policyOf(outcomes: readonly Outcome[], learned: LearnedBy, table: readonly Comparison[]): PolicyFile {
  const half = table.find(({ strongShare }) => strongShare === 0.5) as Comparison;
  return {
    format: policyFormat,
    version: policyVersion,
    learned: {
      questions: outcomes.length,
      cheap_right: shareOf(outcomes, ({ cheapRight }) => cheapRight),
      strong_right: shareOf(outcomes, ({ strongRight }) => strongRight),
      at_half: Object.fromEntries([
        ['random', half.random],
        ...half.ways.map(({ name, accuracy }) => [name, accuracy.value] as const),
        ['oracle', half.oracle],
      ]),
    },
    prompt: (learned.prompt as Learned).model,
    ...(learned.answer && { answer: learned.answer.model }),
  };
}

function jsonOf({ table, ...rest }: CascadeReport): object {
  return {
    ...rest,
    table: table.map(({ strongShare, random, oracle, ways }) => ({
      strong_share: strongShare,
      random,
      ...Object.fromEntries(ways.map(({ name, accuracy, better }) => [name, { ...accuracy, better_than_length: better }])),
      oracle,
    })),
  };
}
