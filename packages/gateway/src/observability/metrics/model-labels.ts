/** Most models that have series of their own. */
const modelsMax = 100;
const otherModel = 'other';

/** Which model names may be label values: those that the catalog knows, and so many of them. Clients write the rest. */
export class ModelLabels {
  readonly #isKnown: (name: string) => boolean;
  readonly #labels = new Set<string>();

  constructor(isKnown: (name: string) => boolean) {
    this.#isKnown = isKnown;
  }

  of(name: string | undefined): string {
    if (name === undefined) return otherModel;
    if (this.#labels.has(name)) return name;
    if (this.#labels.size >= modelsMax || !this.#isKnown(name)) return otherModel;
    this.#labels.add(name);
    return name;
  }
}
