import { Counter, Gauge, type Registry } from 'prom-client';
import type { RequestProfile } from '../profile/request-profile.ts';
import { CounterFamily } from './families.ts';

/** What is known of the file of rules: how often it was taken or refused, and how many rules hold. */
export interface RulesStats {
  readonly loaded: number;
  readonly refused: number;
  readonly rules: number;
}

/** Most rules that have series of their own; their names change with the file. */
const rulesMax = 1000;
const otherRule = 'other';

/** Counts the rules that requests met. */
export class RuleMetrics {
  readonly #family: CounterFamily;
  readonly #names = new Set<string>();

  constructor(registry: Registry, stats: () => RulesStats) {
    this.#family = new CounterFamily({
      registry,
      name: 'autoglm_rules_met_total',
      help: 'Requests that met a rule, by what followed; watch: nothing.',
      labelNames: ['rule', 'verdict'],
    });
    new Counter({
      name: 'autoglm_rule_files_total',
      help: 'Times that the file of rules was read anew, by whether it was taken; the first one included.',
      labelNames: ['result'],
      registers: [registry],
      collect() {
        const { loaded, refused } = stats();
        this.reset();
        this.inc({ result: 'loaded' }, loaded);
        this.inc({ result: 'refused' }, refused);
      },
    });
    new Gauge({
      name: 'autoglm_rules',
      help: 'Rules that hold.',
      registers: [registry],
      collect() {
        this.set(stats().rules);
      },
    });
  }

  take({ rules }: RequestProfile): void {
    for (const { rule, verdict, isWatched } of rules ?? [])
      this.#family.series({ rule: this.#nameOf(rule), verdict: isWatched ? 'watch' : verdict }).add();
  }

  #nameOf(rule: string): string {
    if (this.#names.size < rulesMax) this.#names.add(rule);
    return this.#names.has(rule) ? rule : otherRule;
  }
}
