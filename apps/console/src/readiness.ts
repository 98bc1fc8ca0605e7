import { keyHeaders, keyProblem, type KeyProblem } from './api-key.ts';

/** What `/readyz` says, or that nobody answers there. */
export interface Readiness {
  readonly state: 'connecting' | 'starting' | 'ready' | 'restarting' | 'failed' | 'draining' | 'closed' | 'offline';
  /** The server's words for people. */
  readonly detail: string;
}

/** What `/v1/models` says of a model. */
export interface ModelFacts {
  /** The name to ask for. */
  readonly id: string;
  /** Its weights; its name where another server has it, which says less of them or nothing. */
  readonly source: string;
  readonly weightType: string | undefined;
  readonly parameters: number | undefined;
  readonly contextLength: number | undefined;
}

const readyIntervalMs = 15_000;
const waitingIntervalMs = 1_000;
const answerTimeoutMs = 5_000;

/** Tells every change of readiness, the first at once. Looks seldom while the model is ready, and never while nobody sees the page. */
export function watchReadiness(onChange: (readiness: Readiness) => void): { checkNow(): void } {
  let known: Readiness = { state: 'connecting', detail: '' };
  let timer: number | undefined;
  let isChecking = false;

  const checkNow = async () => {
    if (isChecking || document.hidden) return;
    isChecking = true;
    clearTimeout(timer);
    const found = await askReadiness();
    isChecking = false;
    if (found.state !== known.state || found.detail !== known.detail) onChange((known = found));
    timer = setTimeout(checkNow, found.state === 'ready' ? readyIntervalMs : waitingIntervalMs);
  };

  document.addEventListener('visibilitychange', checkNow);
  onChange(known);
  void checkNow();
  return { checkNow: () => void checkNow() };
}

async function askReadiness(): Promise<Readiness> {
  try {
    const response = await fetch('/readyz', { signal: AbortSignal.timeout(answerTimeoutMs) });
    const { status, detail } = (await response.json()) as { status: Readiness['state']; detail: string };
    return { state: status, detail };
  } catch {
    return { state: 'offline', detail: '' };
  }
}

interface ModelList {
  readonly data: readonly {
    readonly id: string;
    readonly autoglm: {
      readonly source?: string;
      readonly weight_type?: string;
      readonly parameters?: number;
      readonly context_length?: number;
    };
  }[];
}

/** The model that answers; `undefined` while there is none. */
export async function askModel(): Promise<ModelFacts | KeyProblem | undefined> {
  try {
    const headers = keyHeaders();
    const response = await fetch('/v1/models', { headers, signal: AbortSignal.timeout(answerTimeoutMs) });
    if (response.status === 401) return keyProblem(headers);
    const [model] = ((await response.json()) as ModelList).data;
    if (!model) return undefined;
    const { source = model.id, weight_type, parameters, context_length } = model.autoglm;
    return { id: model.id, source, weightType: weight_type, parameters, contextLength: context_length };
  } catch {
    return undefined;
  }
}
