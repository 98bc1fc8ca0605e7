import { watch, type FSWatcher } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { ConfigError } from '../common/config-error.ts';
import { readRules } from './read-rules.ts';
import { RuleSet } from './rule-set.ts';

export type RulesEvent =
  | { readonly type: 'loaded'; readonly file: string; readonly rules: number }
  /** The rules before stay. */
  | { readonly type: 'refused'; readonly file: string; readonly reason: string };

export interface LiveRulesOptions {
  readonly file: string;
  readonly scanCharactersMax: number;
  /** Told of every change of the file, those that were refused included. */
  readonly onEvent: (event: RulesEvent) => void;
  /** How long the file must be left alone before it is read: an editor may write it in pieces. */
  readonly settleMs?: number;
}

/**
 * A file of rules that is read again when it changes. A file that cannot be read, or is wrong, changes nothing: the rules before stay.
 * Its folder is watched rather than the file itself, which many editors, and Kubernetes, replace by another of the same name.
 */
export class LiveRules {
  current: RuleSet;
  readonly #options: LiveRulesOptions;
  #yaml: string;
  #watcher: FSWatcher | undefined;
  /** A change came while the file was being read: it is read once more after that, however many came. */
  #isStale = false;
  #isReading = false;

  /** Rejects with `ConfigError` when the rules that it begins with cannot be used. */
  static async open(options: LiveRulesOptions): Promise<LiveRules> {
    const yaml = await read(options.file);
    const rules = new LiveRules(options, yaml, await RuleSet.compile(options.file, yaml, options.scanCharactersMax));
    options.onEvent({ type: 'loaded', file: options.file, rules: rules.current.rules.length });
    return rules;
  }

  private constructor(options: LiveRulesOptions, yaml: string, current: RuleSet) {
    this.#options = options;
    this.#yaml = yaml;
    this.current = current;
    this.#watcher = watch(path.dirname(options.file), { persistent: false }, () => this.#onChange());
    this.#watcher.on('error', (error) => {
      options.onEvent({ type: 'refused', file: options.file, reason: `its folder can be watched no longer: ${error.message}` });
      this.close();
    });
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #onChange(): void {
    this.#isStale = true;
    if (!this.#isReading) void this.#readUntilFresh();
  }

  async #readUntilFresh(): Promise<void> {
    this.#isReading = true;
    while (this.#isStale && this.#watcher) {
      await wait(this.#options.settleMs ?? 50, undefined, { ref: false });
      this.#isStale = false;
      await this.#reload();
    }
    this.#isReading = false;
  }

  async #reload(): Promise<void> {
    const { file, scanCharactersMax, onEvent } = this.#options;
    try {
      const yaml = await read(file);
      if (yaml === this.#yaml) return;
      // What was refused is not tried again before it changes.
      this.#yaml = yaml;
      const next = await RuleSet.build(await readRules(file, yaml), scanCharactersMax);
      if (!this.#watcher) return;
      this.current = next;
      onEvent({ type: 'loaded', file, rules: next.rules.length });
    } catch (error) {
      // Whatever it is, it must not end the watching.
      onEvent({ type: 'refused', file, reason: (error as Error).message });
    }
  }
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`The rules ${file} cannot be read: ${(error as Error).message}`);
  }
}
