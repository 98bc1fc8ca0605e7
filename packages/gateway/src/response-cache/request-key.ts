import { hash } from 'node:crypto';
import type { GatewayRequest } from '@open-autoglm/protocol';
import type { ModelIdentity } from '../common/model-catalog.ts';

/** Changes with what the key is made of, and with what the entries hold. */
const version = 1;

/**
 * Fields of a request that its answer does not depend on, or that stand in the key in another form. Every other field is part of the
 * key, those too that are yet to be invented: one that is forgotten here costs hits, one that was forgotten in the key would cost truth.
 */
const without: ReadonlySet<string> = new Set<keyof GatewayRequest>([
  'id',
  'requestId',
  'model',
  'stream',
  'lane',
  'deadlineAtMs',
  'standing',
  'cache',
  'client',
  'traceContext',
  'body',
  'signal',
  'emit',
]);

/** Fields of a client's body that stand elsewhere in the key, or say only in what form the answer is written. */
const readElsewhere: ReadonlySet<string> = new Set(['model', 'messages', 'prompt', 'stream', 'stream_options', 'autoglm']);

/** SHA-256 over everything that the answer depends on, in base64url: two requests with one key want the same answer. */
export function requestKey(request: GatewayRequest, identity: ModelIdentity): string {
  return hash('sha256', canonicalForm(request, identity), 'base64url');
}

/**
 * JSON, in which nothing can be shifted from one field into its neighbour. Objects keep the order of their keys as the client wrote it,
 * because a template writes tools and schemas into the prompt in that order.
 */
function canonicalForm(request: GatewayRequest, { name, fingerprint, takesPrompts }: ModelIdentity): string {
  const fields: Record<string, unknown> = {};
  for (const field in request) if (!without.has(field)) fields[field] = request[field as keyof GatewayRequest];
  return JSON.stringify([version, name, fingerprint, fields, takesPrompts ? undefined : otherFields(request)]);
}

/** What another server is told in the client's own words. */
function otherFields({ body }: GatewayRequest): object | undefined {
  if (!body) return undefined;
  const fields: Record<string, unknown> = {};
  for (const name in body.fields) if (!readElsewhere.has(name)) fields[name] = body.fields[name];
  const { include_usage: _, ...options } = (body.fields['stream_options'] ?? {}) as Record<string, unknown>;
  return { fields, options };
}
