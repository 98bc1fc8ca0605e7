import { begin, type Behaviour } from '../../upstream/fake-backend.ts';
import { chunksOf, startGatewayWith, type Chunk, type RemoteGateway } from '../../upstream/support.ts';

export const edgeModel = 'small';
export const cloudModel = 'large';

/** Streams these tokens, each with this probability where the request asks for it. */
export function sayWith(tokens: readonly string[], probability = 0.9): Behaviour {
  return (response, { body }) => {
    const events = begin(response);
    const content = (token: string) => [{ token, logprob: Math.log(probability), bytes: [...Buffer.from(token)], top_logprobs: [] }];
    for (const token of tokens) events.delta({ content: token }, body['logprobs'] ? { logprobs: { content: content(token) } } : {});
    events.choice(0, { delta: {}, finish_reason: 'stop' });
    events.write({ choices: [], usage: { prompt_tokens: 5, completion_tokens: tokens.length, total_tokens: 5 + tokens.length } });
    events.done();
  };
}

export interface TierOptions {
  readonly edgeUrl: string;
  readonly cloudUrl: string;
  readonly tiers?: object;
  readonly more?: object;
}

/** Budgets so long that no test's outcome hangs on the machine's speed. */
const levels = [
  { tier: 'edge', model: edgeModel, first_token_ms: 60_000, answer_ms: 60_000 },
  { tier: 'cloud', model: cloudModel, first_token_ms: 60_000 },
];

/** A gateway whose `auto` is an edge and a cloud. */
export function startTiers({ edgeUrl, cloudUrl, tiers = {}, more = {} }: TierOptions): Promise<RemoteGateway> {
  return startGatewayWith({
    engines: [
      { kind: 'openai', name: 'car', tier: 'edge', url: edgeUrl, model: edgeModel, upstream_model: 'fake-model' },
      { kind: 'openai', name: 'far', tier: 'cloud', url: cloudUrl, model: cloudModel, upstream_model: 'fake-model' },
    ],
    router: { health: { probe_interval_ms: 20, probe_timeout_ms: 1000 } },
    tiers: { enabled: true, levels, ...tiers },
    ...more,
  });
}

export interface Answered {
  readonly status: number;
  readonly tier: string | null;
  readonly text: string;
  readonly degraded: boolean;
  readonly cascade: {
    readonly tier: string;
    readonly reason: string;
    readonly tried: readonly { readonly tier: string; readonly outcome: string; readonly [field: string]: unknown }[];
    readonly scores?: Readonly<Record<string, number>>;
  };
  readonly raw: unknown;
}

/** Asks `auto`, streamed or whole, and reads what it says of itself. */
export async function askAuto(
  server: RemoteGateway,
  {
    stream = false,
    content = 'How many?',
    ...fields
  }: { readonly stream?: boolean; readonly content?: string; readonly [field: string]: unknown } = {},
): Promise<Answered> {
  const response = await server.post('/v1/chat/completions', { model: 'auto', messages: [{ role: 'user', content }], stream, ...fields });
  const body = await response.text();
  const tier = response.headers.get('x-autoglm-tier');
  if (response.status !== 200)
    return {
      status: response.status,
      tier,
      text: '',
      degraded: false,
      cascade: { tier: '', reason: '', tried: [] },
      raw: JSON.parse(body),
    };
  const chunks: Chunk[] = stream ? chunksOf(body) : [JSON.parse(body) as Chunk];
  const text = chunks
    .flatMap(({ choices }) => choices)
    .map((choice) => (stream ? choice.delta['content'] : (choice['message'] as { content: string }).content) ?? '')
    .join('');
  const autoglm = chunks.at(-1)?.['autoglm'] as { cascade: Answered['cascade']; degraded?: boolean };
  return { status: 200, tier, text, degraded: autoglm.degraded ?? false, cascade: autoglm.cascade, raw: stream ? chunks : chunks[0] };
}

export const outcomesOf = ({ cascade }: Answered) => cascade.tried.map(({ tier, outcome }) => `${tier} ${outcome}`);
