import { fork } from 'node:child_process';
import { askProcess } from '../harness/ask-process.ts';

export interface Origin {
  /** It is told one request in a hundred where that is observed. */
  readonly collector: string;
  /** The server that answers; undefined: an engine in the gateways' own process, which answers at once. */
  readonly backend: string | undefined;
}

export type GatewayQuestion = { readonly type: 'start'; readonly origin: Origin } | { readonly type: 'cpu' };
export interface GatewayAnswer {
  readonly urls?: readonly string[];
  readonly cpuMs?: number;
}

/**
 * Two gateways in one process, which is theirs alone: the first with metrics, diagnosis and traces, the second without, which still
 * tells every client its segments. They run the same compiled code on the same heap: from one process to the next those differ by more
 * than what is measured.
 */
export interface GatewayPair {
  readonly urls: readonly string[];
  /** Processor time of their process so far. */
  cpuMs(): Promise<number>;
  close(): void;
}

export async function startGatewayPair(origin: Origin): Promise<GatewayPair> {
  const child = fork(new URL('./gateway-process.ts', import.meta.url), [], { execArgv: [] });
  const ask = (question: GatewayQuestion) => askProcess<GatewayAnswer>(child, question);
  const { urls } = await ask({ type: 'start', origin });
  return {
    urls: urls as readonly string[],
    cpuMs: async () => (await ask({ type: 'cpu' })).cpuMs as number,
    close: () => child.disconnect(),
  };
}
