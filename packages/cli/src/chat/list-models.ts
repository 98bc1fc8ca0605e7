import type { ChatAddress } from './stream-chat.ts';

/** The names of a server's models; none where it does not tell them: what is wrong with it is said when it is asked for an answer. */
export async function listModels({ url, apiKey }: ChatAddress, signal: AbortSignal): Promise<string[]> {
  try {
    const response = await fetch(`${url}/v1/models`, { headers: apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }, signal });
    const { data } = (await response.json()) as { readonly data: readonly { readonly id: unknown }[] };
    return data.map(({ id }) => id).filter((id) => typeof id === 'string');
  } catch {
    return [];
  }
}
