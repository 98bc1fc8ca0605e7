import { fork } from 'node:child_process';
import { askProcess } from '../harness/ask-process.ts';

/** How much of a gateway's work is observed: segments, metrics, diagnosis and traces; what no configuration switches off; nothing at all. */
export type Watching = 'everything' | 'segments' | 'nothing';

export type GatewayQuestion =
  | { readonly type: 'start'; readonly watching: Watching; readonly collector: string }
  | { readonly type: 'cpu' };
export interface GatewayAnswer {
  readonly url?: string;
  readonly cpuMs?: number;
}

/** A gateway in a process of its own, in front of an engine that answers at once. */
export interface FakedGateway {
  readonly url: string;
  /** Processor time of its process so far. */
  cpuMs(): Promise<number>;
  close(): void;
}

/** `collector` is told one request in a hundred where everything is watched. */
export async function startFakedGateway(watching: Watching, collector: string): Promise<FakedGateway> {
  const child = fork(new URL('./gateway-process.ts', import.meta.url), [], { execArgv: [] });
  const ask = (question: GatewayQuestion) => askProcess<GatewayAnswer>(child, question);
  const { url } = await ask({ type: 'start', watching, collector });
  return {
    url: url as string,
    cpuMs: async () => (await ask({ type: 'cpu' })).cpuMs as number,
    close: () => child.disconnect(),
  };
}
