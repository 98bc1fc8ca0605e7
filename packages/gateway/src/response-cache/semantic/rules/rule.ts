import type { Reading } from '../reading/reading.ts';

/** What differs between two questions, in a few words without contents; undefined: nothing that this rule looks at. Symmetric and pure. */
export type Rule = (a: Reading, b: Reading) => string | undefined;
