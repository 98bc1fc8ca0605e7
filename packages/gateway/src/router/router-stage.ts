import type { GatewayRequest, Next, StreamPart } from '@open-autoglm/protocol';
import type { CatalogModel, ModelCatalog, Target } from '../common/model-catalog.ts';
import { balancePolicies, type BalanceName } from './balance/index.ts';
import { ReplicaSet, type ReplicaSetSettings } from './replica-set.ts';
import { RoutedAnswer } from './routed-answer.ts';

export interface RouterOptions extends ReplicaSetSettings {
  readonly balance: BalanceName;
  /** Milliseconds on any clock that does not go back. */
  readonly now: () => number;
  /** 0 … 1. */
  readonly random: () => number;
}

/** Chooses who answers, and another one when that fails before its first part. The end of the path. */
export function createRouter(catalog: ModelCatalog, options: RouterOptions): Next {
  const sets = new WeakMap<CatalogModel, ReplicaSet>();
  const setOf = (model: CatalogModel) => {
    const set = sets.get(model) ?? new ReplicaSet(model, balancePolicies[options.balance], options, options);
    sets.set(model, set);
    return set;
  };
  return (request) => {
    const model = catalog.find(request.model);
    const alone = supervised(model);
    if (alone) return answerOf(alone, request);
    return new RoutedAnswer(setOf(model), request);
  };
}

/** A lone engine that runs here has a queue and a supervisor of its own: there is nothing to choose and nothing to watch. */
function supervised({ targets }: CatalogModel): Target | undefined {
  const [target] = targets;
  return targets.length === 1 && target?.replica.takes === 'prompts' ? target : undefined;
}

function answerOf({ replica, tier }: Target, request: GatewayRequest): AsyncIterable<StreamPart> {
  request.emit({ type: 'engine-chosen', engine: replica.name, tier, reason: 'the only engine of this model' });
  return replica.answer(request);
}
