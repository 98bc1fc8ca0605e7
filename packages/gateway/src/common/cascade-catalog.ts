import type { CatalogModel, ModelCatalog } from './model-catalog.ts';

/**
 * The catalog with one more name, which stands for several models (the cascade's tiers). It can be asked about and is listed, and its
 * engines are all of theirs; who answers is for the cascade to choose.
 */
export function withCascade(catalog: ModelCatalog, name: string, models: readonly string[]): ModelCatalog {
  const whole = (): CatalogModel => ({ name, targets: models.flatMap((model) => catalog.find(model).targets) });
  return {
    ...catalog,
    has: (wanted) => wanted === name || catalog.has(wanted),
    find: (wanted) => (wanted === name ? whole() : catalog.find(wanted)),
    isRemote(wanted, showsImages) {
      if (wanted !== name) return catalog.isRemote(wanted);
      const isRemote = (model: string) => catalog.isRemote(model);
      // What runs here sees no images: a tier that does is asked with the client's own words.
      return models.every(isRemote) || (models.some(isRemote) && (showsImages?.() ?? false));
    },
    identity(wanted) {
      if (wanted !== name) return catalog.identity(wanted);
      const own = models.map((model) => catalog.identity(model)).filter((identity) => identity !== undefined);
      if (own.length < models.length) return undefined;
      return {
        name,
        fingerprint: own.map(({ fingerprint }) => fingerprint).join(),
        takesPrompts: own.every(({ takesPrompts }) => takesPrompts),
      };
    },
    list() {
      const listed = catalog.list();
      return listed.some((model) => models.includes(model.name)) ? [...listed, { ...whole(), info: undefined }] : listed;
    },
  };
}
