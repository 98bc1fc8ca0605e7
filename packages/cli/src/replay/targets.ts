import { UserError } from '../failure.ts';
import { isRecord } from './formats/fields.ts';
import type { ReplayTarget } from './result.ts';

/** A server, or a configuration of requests to one, as the command line names it. */
export interface TargetWish {
  readonly url: string;
  readonly name?: string;
  /** The server's first one when absent. */
  readonly model?: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface TargetDefaults {
  readonly url?: string;
  readonly model?: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Of every request; a body that says them otherwise would be passed over. */
const said: Readonly<Record<string, string>> = {
  model: 'name the model with --model, or with the model of a server of --compare',
  messages: "prompts are the trace's",
  prompt: "prompts are the trace's",
  stream: 'every answer is streamed, or the times in it could not be seen',
  stream_options: 'every stream is asked for its usage',
};

/** Throws `UserError` for what the replay says itself. */
function refuseSaid(body: Readonly<Record<string, unknown>>): void {
  const key = Object.keys(body).find((name) => Object.hasOwn(said, name));
  if (key !== undefined) throw new UserError(`A body merged into every request cannot have ${JSON.stringify(key)}: ${said[key]}.`);
}

/** A URL, or a JSON object that says more: `{"url": …, "name": …, "model": …, "body": {…}}`. Throws `UserError`. */
export function parseTarget(text: string, defaults: TargetDefaults): TargetWish {
  refuseSaid(defaults.body);
  if (!text.trimStart().startsWith('{')) return { ...defaults, url: parseUrl(text) };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UserError(`${text} is neither a URL nor JSON.`);
  }
  const { url, name, model, body = {}, ...others } = value as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined)
    throw new UserError(`A server of --compare has no ${JSON.stringify(unknown)}; it may have url, name, model and body.`);
  for (const [key, field] of Object.entries({ url, name, model }))
    if (field !== undefined && (typeof field !== 'string' || field === ''))
      throw new UserError(`The ${key} of a server of --compare is a text that is not empty.`);
  if (!isRecord(body)) throw new UserError('The body of a server of --compare is a JSON object.');
  refuseSaid(body);
  const address = (url as string | undefined) ?? defaults.url;
  if (address === undefined) throw new UserError('A server of --compare has no url, and there is no --url that both would share.');
  const ownModel = (model as string | undefined) ?? defaults.model;
  return {
    url: parseUrl(address),
    body: { ...defaults.body, ...body },
    ...(name !== undefined && { name: name as string }),
    ...(ownModel !== undefined && { model: ownModel }),
  };
}

/** Without a slash or `/v1` at its end: OpenAI's clients are given it with, everybody's browser without. */
export function parseUrl(text: string): string {
  const url = URL.parse(text);
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new UserError(`${text} is no URL of a server; one is http://127.0.0.1:8080.`);
  if (url.username !== '' || url.password !== '')
    throw new UserError('A URL is written into reports: give the key in an environment variable (--api-key-env), not in the URL.');
  return `${url.origin}${url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '')}`;
}

/** With names that tell them apart: by what they differ in. */
export function nameTargets(wishes: readonly (TargetWish & { readonly model: string })[]): ReplayTarget[] {
  const names = [
    (wish: (typeof wishes)[number]) => wish.url,
    (wish: (typeof wishes)[number]) => `${wish.url} ${wish.model}`,
    (wish: (typeof wishes)[number]) => `${wish.url} ${wish.model} ${JSON.stringify(wish.body)}`,
  ];
  const areDistinct = (texts: readonly string[]) => new Set(texts).size === texts.length;
  const automatic = names.map((name) => wishes.map((wish) => wish.name ?? name(wish))).find(areDistinct);
  // The same server twice, on purpose: what differs then is chance.
  const chosen = automatic ?? wishes.map((wish, index) => `${wish.name ?? wish.url} (${'AB'[index]})`);
  return wishes.map(({ url, model, body }, index) => ({
    name: chosen[index] as string,
    url,
    model,
    ...(Object.keys(body).length > 0 && { body }),
  }));
}
