import type { ClassificationEngine } from '@open-autoglm/protocol';
import type { CatalogModel, Target } from './model-catalog.ts';

/** A classifier in its place. */
export interface ClassificationTarget {
  readonly engine: ClassificationEngine;
  /** Its server. */
  readonly target: Target;
}

/** A model that classifies, and who runs it: at least one. */
export interface ClassificationModel {
  readonly name: string;
  readonly targets: readonly ClassificationTarget[];
}

/** Which models classify by themselves. */
export interface ClassificationCatalog {
  readonly names: readonly string[];
  find(name: string): ClassificationModel | undefined;
  /** False for what is no model's name. */
  has(name: unknown): boolean;
}

/** Those of other servers that have a route for it. */
export function createClassificationCatalog(models: readonly CatalogModel[]): ClassificationCatalog {
  const byName = new Map<unknown, ClassificationModel>();
  for (const { name, targets } of models) {
    const own = targets.flatMap((target) =>
      target.replica.takes === 'requests' && target.replica.classification ? [{ engine: target.replica.classification, target }] : [],
    );
    if (own.length > 0) byName.set(name, { name, targets: own });
  }
  return { names: [...byName.values()].map(({ name }) => name), find: (name) => byName.get(name), has: (name) => byName.has(name) };
}
