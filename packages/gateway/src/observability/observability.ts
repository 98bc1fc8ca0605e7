import type { Followed } from '../common/followed.ts';
import type { RequestStart } from '../common/request-start.ts';
import { Diagnoser } from './bottleneck/diagnoser.ts';
import { createFollower } from './follow.ts';
import { Metrics, type MetricsParts } from './metrics/metrics.ts';
import type { RequestProfile } from './profile/request-profile.ts';
import { RuntimeWatch } from './runtime/runtime-watch.ts';
import type { Sinks } from './sinks/sinks.ts';

export interface ObservabilityConfig {
  readonly metrics: { readonly enabled: boolean };
  readonly diagnosis: { readonly enabled: boolean };
}

export interface ObservabilityParts extends Pick<
  MetricsParts,
  | 'engines'
  | 'isModel'
  | 'admission'
  | 'batches'
  | 'semantic'
  | 'prefetch'
  | 'outcomesDropped'
  | 'cache'
  | 'rules'
  | 'steps'
  | 'eventTotals'
> {
  readonly sinks: Sinks;
  /** Told how long a request waited for its first token, where an engine made it. */
  readonly onFirstToken?: (model: string, ms: number) => void;
}

export interface Observability {
  readonly follow: (start: RequestStart) => Followed;
  /** Absent when switched off. */
  readonly metrics: Metrics | undefined;
  close(): void;
}

/** Everything that subscribes to requests, as far as it is switched on. */
export function createObservability(config: ObservabilityConfig, { sinks, onFirstToken, ...parts }: ObservabilityParts): Observability {
  let metrics: Metrics | undefined;
  const onFailure = (error: unknown) => {
    metrics?.onObserverFailure();
    sinks.logs?.onObserverFailure(error);
  };
  const isWatched = config.metrics.enabled || config.diagnosis.enabled;
  const watch = isWatched ? new RuntimeWatch((kind, seconds) => metrics?.onGc(kind, seconds)) : undefined;
  const diagnoser = watch && config.diagnosis.enabled ? new Diagnoser(watch) : undefined;
  if (watch && config.metrics.enabled) {
    metrics = new Metrics({ ...parts, sinks: sinks.drops, window: diagnoser?.window, settle: () => follower.settle() });
    metrics.watch(watch);
  }
  const follower = createFollower({
    observers: sinks.observers,
    diagnoser,
    onStart: () => {
      watch?.loop.begin();
      metrics?.onStart();
    },
    onEnd: (profile) => {
      watch?.loop.end();
      metrics?.onEnd();
      if (onFirstToken) tellFirstToken(profile, onFirstToken);
    },
    onProfile: (profile) => {
      metrics?.onProfile(profile);
      sinks.logs?.onProfile(profile);
    },
    onFailure,
  });
  return {
    follow: follower.follow,
    metrics,
    close() {
      // What engines and batches end by being closed comes after this.
      follower.close();
      watch?.close();
    },
  };
}

function tellFirstToken({ model, firstTokenAtMs, start, cache = 'off' }: RequestProfile, tell: (model: string, ms: number) => void): void {
  if (model !== undefined && firstTokenAtMs !== undefined && (cache === 'off' || cache === 'miss'))
    tell(model, firstTokenAtMs - start.startedAtMs);
}
