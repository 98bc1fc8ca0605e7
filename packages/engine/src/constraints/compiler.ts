import { AutoglmError, type OutputGrammar } from '@open-autoglm/protocol';
import { LRUCache } from 'lru-cache';
import { choice, repeat, sequence, type Node } from './grammar.ts';
import { Constraint } from './constraint.ts';
import { compileSchema } from './schema/compile-schema.ts';
import { literals } from './terminals/literals.ts';
import { textWithout } from './terminals/plain-text.ts';
import { TokenTable, type TokenTexts } from './token-table.ts';

/** Bytes of grammars kept for the next request that asks for the same. */
const cacheBytes = 32 * 1024 * 1024;
/** A grammar's memory, roughly, for each character of what it was written as: nodes, states, tables of patterns. */
const bytesPerCharacter = 64;

/** Makes the constraints of a model's sequences. Costs nothing before the first. */
export class ConstraintCompiler {
  readonly #texts: TokenTexts;
  readonly #grammars = new LRUCache<string, Node>({ maxSize: cacheBytes });
  #table: TokenTable | undefined;

  constructor(texts: TokenTexts) {
    this.#texts = texts;
  }

  /**
   * A sequence's constraint, before its first token. Throws `invalid_value` with the field of a schema that cannot be used, and
   * `unsupported_feature` when the model's tokens cannot write every text.
   */
  create(grammar: OutputGrammar): Constraint {
    const written = JSON.stringify(grammar);
    const node = this.#grammars.get(written) ?? compileGrammar(grammar);
    this.#grammars.set(written, node, { size: bytesPerCharacter * written.length });
    return new Constraint(node, this.#tableOf());
  }

  #tableOf(): TokenTable {
    this.#table ??= new TokenTable(this.#texts);
    if (this.#table.writesEveryText) return this.#table;
    throw new AutoglmError('unsupported_feature', 'The model has no token for some bytes, so its answers cannot be held to a format.', {
      param: 'model',
    });
  }
}

function compileGrammar(grammar: OutputGrammar): Node {
  switch (grammar.kind) {
    case 'json':
      return compileSchema(grammar.schema, grammar.param);
    case 'literal':
      return literals([grammar.text]);
    case 'text':
      return textWithout(grammar.without);
    case 'sequence':
      return sequence(...grammar.items.map(compileGrammar));
    case 'choice':
      return choice(...grammar.options.map(compileGrammar));
    case 'repeat':
      return repeat(compileGrammar(grammar.item), compileGrammar(grammar.separator), grammar.min, grammar.max ?? Infinity);
  }
}
