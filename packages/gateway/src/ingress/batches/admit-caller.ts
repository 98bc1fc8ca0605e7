import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../../common/asker.ts';
import type { Access } from '../access.ts';
import type { Generations } from '../generations.ts';

/** Who asks for files or batches; it counts as a request. Throws `rate_limit_exceeded`. */
export async function admitCaller(
  { access, generations }: { readonly access: Access; readonly generations: Generations },
  message: IncomingMessage,
  response: ServerResponse,
): Promise<Caller> {
  const caller = access.callerOf(message.headers);
  await generations.admitCall(message, caller.tenant, response);
  return caller;
}
