import { fork } from 'node:child_process';
import { askProcess } from '../harness/ask-process.ts';

export interface ObservedGateway {
  /** Metrics, diagnosis and traces; without them it still tells every client its segments. */
  readonly isObserved: boolean;
  /** It is told one request in a hundred where that is observed. */
  readonly collector: string;
  /** The server that answers; undefined: an engine in the gateway's own process, which answers at once. */
  readonly backend: string | undefined;
}

export type GatewayQuestion = { readonly type: 'start'; readonly gateway: ObservedGateway } | { readonly type: 'cpu' };
export interface GatewayAnswer {
  readonly url?: string;
  readonly cpuMs?: number;
}

/** A gateway in a process of its own. */
export interface FakedGateway {
  readonly url: string;
  /** Processor time of its process so far. */
  cpuMs(): Promise<number>;
  close(): void;
}

export async function startFakedGateway(gateway: ObservedGateway): Promise<FakedGateway> {
  const child = fork(new URL('./gateway-process.ts', import.meta.url), [], { execArgv: [] });
  const ask = (question: GatewayQuestion) => askProcess<GatewayAnswer>(child, question);
  const { url } = await ask({ type: 'start', gateway });
  return {
    url: url as string,
    cpuMs: async () => (await ask({ type: 'cpu' })).cpuMs as number,
    close: () => child.disconnect(),
  };
}
