import { fileURLToPath } from 'node:url';
import type { Stage } from '@open-autoglm/protocol';
import { createPrejudgeStage, type KnownModels } from './prejudge-stage.ts';

export interface PrejudgeOptions {
  readonly rules?: string;
  readonly scan_characters_max: number;
}

/** Where changes of the rules are told; absent: nobody reads it. */
export interface RulesLog {
  info(message: string, fields: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface Prejudge {
  readonly stage: Stage;
  /** How often a file was taken or refused, and how many rules hold. */
  readonly stats: { readonly loaded: number; readonly refused: number; readonly rules: number };
  close(): void;
}

/** The rules that come with the package. */
const sampleFile = fileURLToPath(new URL('../../rules/sample.yaml', import.meta.url));

/**
 * The stage and the rules that it goes by; undefined where none are configured, and then their matchers are not loaded. Rejects with
 * `ConfigError`.
 */
export async function openPrejudge(
  { rules, scan_characters_max: scanCharactersMax }: PrejudgeOptions,
  models: KnownModels,
  log: RulesLog | undefined,
): Promise<Prejudge | undefined> {
  if (rules === undefined) return undefined;
  const { LiveRules } = await import('./live-rules.ts');
  let loaded = 0;
  let refused = 0;
  const live = await LiveRules.open({
    file: rules === 'sample' ? sampleFile : rules,
    scanCharactersMax,
    onEvent(event) {
      if (event.type === 'loaded') {
        loaded += 1;
        log?.info('rules loaded', { file: event.file, rules: event.rules });
      } else {
        refused += 1;
        log?.warn('rules refused; those before stay', { file: event.file, reason: event.reason });
      }
    },
  });
  return {
    stage: createPrejudgeStage(live, models),
    get stats() {
      return { loaded, refused, rules: live.current.rules.length };
    },
    close: () => live.close(),
  };
}
