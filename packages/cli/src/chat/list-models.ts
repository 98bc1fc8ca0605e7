import type { ChatAddress } from './stream-chat.ts';

/** The names of a server's models; none where it does not tell them: what is wrong with it is said when it is asked for an answer. */
export async function listModels(address: ChatAddress, signal: AbortSignal): Promise<string[]> {
  try {
    const response = await ask(address, '/v1/models', signal);
    const { data } = (await response.json()) as { readonly data: readonly { readonly id: unknown }[] };
    return data.map(({ id }) => id).filter((id) => typeof id === 'string');
  } catch {
    return [];
  }
}

/** Whether a server of this project is still loading the model: it lists none before it is ready. */
export async function isLoading(address: ChatAddress, name: string, signal: AbortSignal): Promise<boolean> {
  try {
    const response = await ask(address, `/v1/models/${encodeURIComponent(name)}`, signal);
    await response.body?.cancel();
    return response.status === 503;
  } catch {
    return false;
  }
}

function ask({ url, apiKey }: ChatAddress, path: string, signal: AbortSignal): Promise<Response> {
  return fetch(`${url}${path}`, { headers: apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }, signal });
}
