import {
  AutoglmError,
  type AutoglmError as Failure,
  type EngineStatus,
  type GatewayRequest,
  type ProbeNews,
  type RemoteModel,
  type RequestReplica,
} from '@open-autoglm/protocol';
import { Pool } from 'undici';
import { BatchedClassification } from '../batching/batched-classification.ts';
import { BatchedEmbeddings } from '../batching/batched-embeddings.ts';
import type { TextBatcherOptions } from '../batching/text-batcher.ts';
import { upstreamClassification } from './classification.ts';
import { connector } from './connector.ts';
import { startDiscovery, type Discovered } from './discovery.ts';
import { upstreamEmbeddings } from './embeddings.ts';
import { errorOfProbe, isSilence } from './errors.ts';
import { JoinedCompletions } from './joined-completions.ts';
import { upstreamTokens } from './tokenize.ts';
import { UpstreamAnswer } from './upstream-answer.ts';
import { requestHeaders, upstreamBody } from './upstream-request.ts';

export interface OpenAiReplicaOptions {
  readonly name: string;
  /** The base URL as OpenAI's clients take it: `http://vllm-0:8000/v1`. */
  readonly url: string;
  /** Its name there. */
  readonly model: string;
  /** Sent as a bearer token, and never logged. */
  readonly apiKey?: string | undefined;
  /** Where it classifies, on the server's root; absent: it does not. */
  readonly classifyPath?: string | undefined;
  /** Whether text completions of the batch lane are joined as `batching` says. */
  readonly joinsCompletions?: boolean;
  /** How requests for embeddings and classes are joined; absent: each goes as it came. */
  readonly batching?: Omit<TextBatcherOptions, 'waitingMax' | 'now'> | undefined;
  readonly timeouts: {
    /** For the connection. */
    readonly connect_ms: number;
    /** From the request to the head of the answer; of an answer that is not streamed, that is all of its time. */
    readonly headers_ms: number;
    /** Between two pieces of an answer. */
    readonly idle_ms: number;
  };
  /** How its life is watched: it counts as gone after so many probes in a row without an answer. */
  readonly probe?: { readonly intervalMs: number; readonly timeoutMs: number; readonly failuresMax: number };
}

const defaultProbe = { intervalMs: 5000, timeoutMs: 1500, failuresMax: 2 };

/** Texts of a lane that wait to be joined. */
const waitingTextsMax = 8192;

/** Connections that nobody uses are kept for less than the 5 s after which uvicorn and cpp-httplib close them. */
const keepAliveMs = 4000;

/**
 * Any server that speaks OpenAI's API: vLLM, SGLang, llama.cpp, Ollama, a vendor's, another open-autoglm. Every request has a
 * connection of its own while it runs; how many that may be is the router's to bound.
 */
export function openAiReplica({
  name,
  url,
  model,
  apiKey,
  classifyPath,
  joinsCompletions = false,
  batching,
  timeouts,
  probe = defaultProbe,
}: OpenAiReplicaOptions): RequestReplica {
  const { origin, pathname } = new URL(url);
  const base = pathname.replace(/\/+$/, '');
  const pool = new Pool(origin, {
    connections: null,
    pipelining: 1,
    allowH2: false,
    connect: connector(timeouts.connect_ms),
    keepAliveTimeout: keepAliveMs,
    headersTimeout: timeouts.headers_ms,
    bodyTimeout: timeouts.idle_ms,
  });
  const authorization = apiKey === undefined ? [] : ['authorization', `Bearer ${apiKey}`];
  const fixedHeaders = [
    'content-type',
    'application/json',
    'accept',
    'text/event-stream, application/json',
    'user-agent',
    'open-autoglm',
    ...authorization,
  ];

  let status: EngineStatus = { state: 'starting', detail: `${origin} is being asked for its models.` };
  let known: RemoteModel | undefined;
  let isKnown = false;
  let failures = 0;
  const listeners = new Set<(status: EngineStatus) => void>();
  const probeListeners = new Set<(news: ProbeNews) => void>();
  const tellOfProbes = (news: ProbeNews) => {
    for (const listener of probeListeners) listener(news);
  };
  const setStatus = (state: EngineStatus['state'], detail: string) => {
    if (status.state === 'closed') return;
    const isNews = status.state !== state;
    status = { state, detail };
    if (isNews) for (const listener of listeners) listener(status);
  };
  const onDiscovered = (discovered: Discovered) => {
    isKnown = true;
    const isBack = !('error' in discovered) && failures > 0;
    failures = 'error' in discovered ? failures + 1 : 0;
    if ('error' in discovered) {
      if (status.state === 'starting' || failures >= probe.failuresMax) setStatus('unreachable', errorOfProbe(name, discovered.error));
      if (failures >= probe.failuresMax && isSilence(discovered.error)) tellOfProbes('silent');
      return;
    }
    if ('model' in discovered) known = discovered.model;
    setStatus(
      'ready',
      'model' in discovered ? `${origin} has the model.` : `${origin} answers, but does not list the model: ${discovered.missing}.`,
    );
    if (isBack) tellOfProbes('back');
  };
  const discovery = startDiscovery({
    dispatcher: pool,
    path: `${base}/models`,
    headers: ['accept', 'application/json', ...authorization],
    model,
    ...probe,
    onDiscovered,
  });
  /** Requests tell sooner than the next discovery. */
  const onOutcome = (error: Failure | undefined) => {
    if (error?.code === 'upstream_unreachable' || error?.code === 'upstream_connect_timeout') {
      if (status.state !== 'unreachable') discovery.hurry();
      setStatus('unreachable', error.message);
    } else if (!error && status.state === 'unreachable') setStatus('ready', `${origin} answers again.`);
  };

  const texts = { name, dispatcher: pool, headers: fixedHeaders, model, status: () => status, onOutcome };
  const joining = batching && { ...batching, waitingMax: waitingTextsMax, now: () => performance.now() };
  const upstream = upstreamEmbeddings({ ...texts, path: `${base}/embeddings` });
  const embeddings = joining ? new BatchedEmbeddings(upstream, joining) : upstream;
  const classifier =
    classifyPath === undefined ? undefined : upstreamClassification({ ...texts, path: `${base.replace(/\/v1$/, '')}${classifyPath}` });
  const classification = classifier && joining ? new BatchedClassification(classifier, joining) : classifier;

  const completions = joining && joinsCompletions ? new JoinedCompletions({ ...texts, path: `${base}/completions` }, joining) : undefined;

  return {
    takes: 'requests',
    name,
    embeddings,
    classification,
    tokens: upstreamTokens({ name, dispatcher: pool, base, headers: fixedHeaders, model }),
    get status() {
      return status;
    },
    get model() {
      return known;
    },
    get isKnown() {
      return isKnown;
    },
    watch: (listener) => void listeners.add(listener),
    watchProbes: (listener) => void probeListeners.add(listener),
    answer(request: GatewayRequest) {
      if (status.state === 'closed') throw new AutoglmError('engine_unavailable', `The engine ${name} was closed.`);
      if (completions?.takes(request)) return completions.answer(request);
      const path = `${base}/${request.input.kind === 'chat' ? 'chat/completions' : 'completions'}`;
      const headers = requestHeaders(fixedHeaders, request.requestId ?? request.id, request.traceContext?.());
      return new UpstreamAnswer({
        engine: name,
        request,
        dispatcher: pool,
        options: { path, method: 'POST', headers, body: upstreamBody(request, model) },
        onOutcome,
      });
    },
    async close() {
      setStatus('closed', `${origin} is not asked any more.`);
      discovery.stop();
      completions?.close();
      await Promise.all([embeddings.close(), classification?.close()]);
      await pool.destroy(new AutoglmError('engine_unavailable', `The engine ${name} was closed.`));
    },
  };
}
