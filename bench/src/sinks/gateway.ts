import { fork } from 'node:child_process';
import { askProcess } from '../harness/ask-process.ts';

export interface SinkTargets {
  /** Where the log goes: a file, or a FIFO. */
  readonly log: string;
  /** Address of a collector, or of nobody. */
  readonly collector: string;
}

export type GatewayQuestion = { readonly type: 'start'; readonly targets: SinkTargets } | { readonly type: 'heap' };
export interface GatewayAnswer {
  readonly url?: string;
  readonly heapBytes?: number;
}

/** A gateway that logs and traces every request, in a process of its own, in front of an engine that answers at once. */
export interface SinkGateway {
  readonly url: string;
  /** JavaScript heap that is still in use after a full collection, and buffers outside it. */
  heapBytes(): Promise<number>;
  close(): void;
}

export async function startSinkGateway(targets: SinkTargets): Promise<SinkGateway> {
  const child = fork(new URL('./gateway-process.ts', import.meta.url), [], { execArgv: ['--expose-gc'] });
  const ask = (question: GatewayQuestion) => askProcess<GatewayAnswer>(child, question);
  const { url } = await ask({ type: 'start', targets });
  return {
    url: url as string,
    heapBytes: async () => (await ask({ type: 'heap' })).heapBytes as number,
    close: () => child.disconnect(),
  };
}
