import { alignColumns } from '../../replay/report/text.ts';
import type { Comparison } from './curve.ts';

export interface CascadeReport {
  readonly questions: number;
  readonly tested: { readonly questions: number; readonly by: 'cross-validation' | 'another file' };
  /** Right answers of either model alone. */
  readonly cheap: number;
  readonly strong: number;
  readonly table: readonly Comparison[];
  /** The file that was written. */
  readonly policy?: string;
  /** Why a part of the policy is not there; empty where nobody wanted it. */
  readonly missing?: string;
}

const titles: Readonly<Record<string, string>> = { length: 'prompt length', prompt: 'by the prompt', answer: 'by the answer' };

export function formatReport({ questions, tested, cheap, strong, table, policy, missing }: CascadeReport): string {
  const ways = table[0]?.ways.map(({ name }) => name) ?? [];
  const header = ['strong calls', 'random', ...ways.map((name) => titles[name] ?? name), 'oracle'];
  const rows = table.map(({ strongShare, random, oracle, ways: judged }) => [
    `${Math.round(strongShare * 100)} %`,
    right(random),
    ...judged.map(({ accuracy }) => `${right(accuracy.value)} [${right(accuracy.low)} ${right(accuracy.high)}]`),
    right(oracle),
  ]);
  const half = table.find(({ strongShare }) => strongShare === 0.5);
  const verdicts =
    half?.ways
      .slice(1)
      .map(
        ({ name, better }) =>
          `At 50 % strong calls, ${titles[name] ?? name}: ${signed(better.value)} [${signed(better.low)} ${signed(better.high)}] against prompt length.`,
      ) ?? [];
  return [
    `${questions} questions; right answers of the cheap model ${right(cheap)}, of the strong one ${right(strong)}. Judged on ${tested.questions} questions by ${tested.by}.`,
    '',
    ...alignColumns(
      [header, ...rows],
      header.map(() => 'right' as const),
    ),
    '',
    ...verdicts,
    ...(missing ? [missing] : []),
    ...(policy === undefined ? [] : [`The policy is in ${policy}.`]),
    '',
  ].join('\n');
}

function right(share: number): string {
  return share.toFixed(3).replace(/^(-?)0/, '$1');
}

function signed(difference: number): string {
  return `${difference < 0 ? '' : '+'}${right(difference)}`;
}
