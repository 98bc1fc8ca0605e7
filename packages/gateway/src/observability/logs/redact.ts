import { contentLengthMax } from '../sinks/bounded-content.ts';

const hidden = '[redacted]';
/** Texts are cut here. */
const textLengthMax = contentLengthMax;
/** Longer than any secret: one that the cut would halve is seen whole first. */
const slack = 4096;
const depthMax = 6;

/** Names under which a text is a secret, whatever it looks like. */
const secretName =
  /authorization|cookie|(?:api|access|private|secret)[-_]?key|secret|passw(?:or)?d|passphrase|^(?:pass|pwd|jwt)$|credential|token|signature/i;

/** [what gives a secret away, what stays of it]; each runs in time linear in the text. */
const patterns: readonly (readonly [RegExp, string])[] = [
  // A header, to the end of its line: cookies hold spaces and semicolons.
  [/((?:proxy-)?authorization|(?:set-)?cookie)([\\"'\s]{0,6}[:=]\s{0,4})[^\r\n]+/gi, `$1$2${hidden}`],
  // http://user:password@host
  [/([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/?#"'<>]*@/gi, `$1${hidden}@`],
  [/\b(bearer|basic|digest|negotiate|apikey)\s+[^\s"',;]{4,}/gi, `$1 ${hidden}`],
  // api_key=…, "password": "…", ?access_token=…; in quotation marks, which JSON in JSON escapes, all that they hold, rather more than less.
  [
    /((?:key|token|secret|passw(?:or)?d|passphrase|pass|pwd|credentials?|signature|sig|auth|session|jwt)[\\"'\s]{0,6}[:=]\s{0,6})(?:(\\{0,7}["'])(?:(?!\2)(?:\\+[^\\\r\n]|[^\\\r\n]))*|[[{]*[^\s\\"'&,;{}[\]<>][^\s\\"'&,;}<>]*)/gi,
    `$1$2${hidden}`,
  ],
  [/(-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----)[^-]*/g, `$1${hidden}`],
  // Keys and tokens known by their beginning: OpenAI's, Hugging Face's, Groq's, xAI's, NVIDIA's, npm's, GitHub's, GitLab's, Slack's, AWS's,
  // Google's; JSON web tokens.
  [/\b(?:sk|pk|rk|hf|gsk|xai|nvapi|npm|gh[opsu]|github_pat|glpat|xox[abprs])[-_][\w-]{8,}/g, hidden],
  [/\b(?:AKIA[A-Z0-9]{12,}|AIza[\w-]{30,})/g, hidden],
  [/\beyJ[\w-]{1,512}\.[\w-]+\.[\w-]*/g, hidden],
];

/** Makes what is written to a log fit for people who may not know secrets. */
export interface Redactor {
  text(text: string): string;
  /** The same fields, their texts redacted and cut; deeper than six levels there is nothing. */
  fields(fields: Record<string, unknown>): Record<string, unknown>;
}

/** `secrets`: texts that are known to be secrets, wherever they appear. */
export function createRedactor(secrets: readonly string[] = []): Redactor {
  // The longest first, should one hold another. Short ones would be found in every other word.
  const known = secrets.filter((secret) => secret.length >= 4).toSorted((a, b) => b.length - a.length);
  const text = (given: string): string => {
    let redacted = given.length > textLengthMax + slack ? given.slice(0, textLengthMax + slack) : given;
    for (const secret of known) redacted = redacted.replaceAll(secret, hidden);
    for (const [pattern, kept] of patterns) redacted = redacted.replace(pattern, kept);
    return redacted.length > textLengthMax ? `${redacted.slice(0, textLengthMax)}…` : redacted;
  };
  const value = (given: unknown, isSecret: boolean, depth: number): unknown => {
    if (typeof given === 'string') return isSecret ? hidden : text(given);
    if (typeof given !== 'object' || given === null) return given;
    if (depth >= depthMax) return undefined;
    if (Array.isArray(given)) return given.map((item) => value(item, isSecret, depth + 1));
    return object(given as Record<string, unknown>, isSecret, depth);
  };
  const object = (given: Record<string, unknown>, isSecret: boolean, depth: number): Record<string, unknown> =>
    Object.fromEntries(Object.entries(given).map(([name, item]) => [name, value(item, isSecret || secretName.test(name), depth + 1)]));
  return { text, fields: (fields) => object(fields, false, 0) };
}

/** The secrets in a configuration: what its keys call so, headers, passwords in addresses, and variables that it names. */
export function secretsOf(config: unknown, env: Readonly<Record<string, string | undefined>>, name = ''): string[] {
  if (typeof config === 'string') return secretsOfText(config, env, name);
  if (typeof config !== 'object' || config === null) return [];
  if (Array.isArray(config)) return config.flatMap((item) => secretsOf(item, env, name));
  return Object.entries(config).flatMap(([key, item]) => secretsOf(item, env, name === 'headers' ? 'secret' : key));
}

function secretsOfText(text: string, env: Readonly<Record<string, string | undefined>>, name: string): string[] {
  if (name.endsWith('_env')) return [env[text] ?? ''];
  if (secretName.test(name)) return [text];
  const url = URL.parse(text);
  if (!url) return [];
  return [url.password, decoded(url.password), ...[...url.searchParams].flatMap(([key, given]) => (secretName.test(key) ? [given] : []))];
}

function decoded(password: string): string {
  try {
    return decodeURIComponent(password);
  } catch {
    return password;
  }
}
