import type { ServerResponse } from 'node:http';
import { AutoglmError, type GatewayRequest } from '@open-autoglm/protocol';
import { cutWhenStalled } from '../common/caught-up.ts';

/**
 * Waits until the system has taken the end of an ended response from us. Rejects with the
 * request's abort reason, or when the client left or stalled.
 */
export async function handOver(response: ServerResponse, { signal, emit }: Pick<GatewayRequest, 'signal' | 'emit'>): Promise<void> {
  const since = performance.now();
  const destroy = () => void response.destroy();
  cutWhenStalled(response);
  signal.addEventListener('abort', destroy, { once: true });
  if (signal.aborted) destroy();
  await new Promise<void>((resolve) => response.once('close', resolve));
  signal.removeEventListener('abort', destroy);
  emit({ type: 'segment-end', segment: 'output', durationMs: performance.now() - since, reason: 'client' });
  signal.throwIfAborted();
  if (!response.writableFinished) throw new AutoglmError('client_closed_request', 'The client left before it had the whole answer.');
}
