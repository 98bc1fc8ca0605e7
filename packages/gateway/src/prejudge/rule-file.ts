import Type, { type Static } from 'typebox';
import { ConfigError } from '../common/config-error.ts';
import { check, parseYaml, place, written, type YamlSource } from '../common/yaml-source.ts';
import { scriptNames } from './scripts.ts';

const closed = { additionalProperties: false } as const;
const text = Type.String({ minLength: 1, maxLength: 1000 });
const texts = Type.Array(text, { minItems: 1, maxItems: 10_000 });
const count = Type.Integer({ minimum: 1, maximum: 100_000_000 });
const roles = ['system', 'user', 'assistant', 'tool', 'last'] as const;

const ruleSchema = Type.Object(
  {
    /** In errors, in metrics and in what the client is told. */
    name: Type.String({ pattern: '^[a-z0-9][a-z0-9_.-]{0,63}$' }),

    /** Conditions: all that are given must hold, and one must be given. No message has any text or anything else in it. */
    empty: Type.Optional(Type.Literal(true)),
    /** More than so many characters of text, or messages. */
    larger_than: Type.Optional(Type.Object({ characters: Type.Optional(count), messages: Type.Optional(count) }, closed)),
    /** So large a share of the letters is of a script. */
    script: Type.Optional(
      Type.Object(
        { name: Type.Union(scriptNames.map((name) => Type.Literal(name))), share: Type.Number({ exclusiveMinimum: 0, maximum: 1 }) },
        closed,
      ),
    ),
    /** The same request of the same tenant is under way already. */
    duplicate: Type.Optional(Type.Literal(true)),
    /** One of these occurs in a message. */
    find: Type.Optional(
      Type.Object(
        {
          literals: Type.Optional(texts),
          /** In RE2's syntax. */
          patterns: Type.Optional(texts),
          /**
           * What they are compared with: the text as it was written; without case, width and invisible characters; only its letters and
           * digits.
           */
          on: Type.Optional(Type.Union([Type.Literal('text'), Type.Literal('folded'), Type.Literal('letters')])),
          /** Whose messages; `last` is the request's last one, where it is a user's. Those of users and tools when not given. */
          in: Type.Optional(Type.Array(Type.Union(roles.map((role) => Type.Literal(role))), { minItems: 1 })),
          /** The whole message must be it, rather than contain it. */
          whole: Type.Optional(Type.Boolean()),
        },
        closed,
      ),
    ),

    /** What follows: one of these. The error's message, and its status where that of the condition does not suit. */
    refuse: Type.Optional(
      Type.Object(
        {
          message: Type.Optional(text),
          status: Type.Optional(Type.Union([Type.Literal(403), Type.Literal(409), Type.Literal(413), Type.Literal(422)])),
        },
        closed,
      ),
    ),
    /** The answer, word for word. */
    answer: Type.Optional(Type.String({ minLength: 1, maxLength: 100_000 })),
    /** Labels of the request; `lane` puts it into that lane. */
    label: Type.Optional(
      Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_]{0,31}$' }), Type.String({ minLength: 1, maxLength: 64 }), closed),
    ),

    /** Tells that the rule was met, and does nothing. */
    watch: Type.Optional(Type.Boolean()),
  },
  closed,
);

const fileSchema = Type.Object({ rules: Type.Array(ruleSchema, { maxItems: 10_000 }) }, closed);

export type Rule = Static<typeof ruleSchema>;
export type Find = NonNullable<Rule['find']>;
export type View = NonNullable<Find['on']>;
export type Role = (typeof roles)[number];

/** Throws what is wrong with a key of the file: `ConfigError`, with its line. */
export type RefuseKey = (path: readonly (string | number)[], reason: string) => never;

export interface RuleFile {
  readonly rules: readonly Rule[];
  readonly refuse: RefuseKey;
}

/** Reads a file of rules. Throws `ConfigError`, which names the file, the line and the key. */
export function parseRules(path: string, yaml: string): RuleFile {
  const source = parseYaml(path, yaml, 'rules');
  check(source.value, fileSchema, [], source);
  const { rules } = source.value as Static<typeof fileSchema>;
  const file: RuleFile = { rules, refuse: refuserOf(source) };
  const names = new Set<string>();
  for (const [index, rule] of rules.entries()) {
    refuseWhatMakesNoSense(rule, (key, reason) => file.refuse(['rules', index, ...key], reason));
    if (names.has(rule.name)) file.refuse(['rules', index, 'name'], `is "${rule.name}", which another rule is called already`);
    names.add(rule.name);
  }
  return file;
}

function refuserOf(source: YamlSource): RefuseKey {
  return (path, reason) => {
    const keys = path.map(String);
    throw new ConfigError(`${place(source, keys) || `${source.path}: `}${written(keys)} ${reason}.`);
  };
}

const conditions = ['empty', 'larger_than', 'script', 'duplicate', 'find'] as const;
const actions = ['refuse', 'answer', 'label'] as const;

function refuseWhatMakesNoSense(rule: Rule, refuse: (key: readonly string[], reason: string) => never): void {
  if (conditions.every((name) => rule[name] === undefined)) refuse([], `has no condition: one of ${conditions.join(', ')}`);
  const given = actions.filter((name) => rule[name] !== undefined);
  if (given.length !== 1) refuse([], `must have exactly one of ${actions.join(', ')}, but has ${given.join(' and ') || 'none'}`);
  const { find, larger_than: largerThan, label } = rule;
  if (find && !find.literals && !find.patterns) refuse(['find'], 'has nothing to find: literals, patterns or both');
  if (find?.patterns && find.on === 'letters')
    refuse(['find', 'patterns'], 'cannot be looked for where only letters are left: choose folded, or literals');
  if (largerThan && Object.keys(largerThan).length === 0) refuse(['larger_than'], 'has no bound: characters, messages or both');
  if (label && Object.keys(label).length === 0) refuse(['label'], 'has no label');
  if (label?.['lane'] !== undefined && label['lane'] !== 'realtime' && label['lane'] !== 'batch')
    refuse(['label', 'lane'], 'must be realtime or batch');
}
