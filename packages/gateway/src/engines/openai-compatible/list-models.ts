import { list, sourceOf } from './discovery.ts';

const listTimeoutMs = 5000;

export interface ListedName {
  readonly id: string;
  /** The file or package that it came from, where the server is another gateway. */
  readonly source: string | undefined;
}

/** The models that the server at this base URL lists. Rejects when it cannot be reached, or answers with something else. */
export async function listModels(url: string, apiKey?: string): Promise<ListedName[]> {
  // Only who asks for it loads the client.
  const { Client } = await import('undici');
  const { origin, pathname } = new URL(url);
  const client = new Client(origin, { connectTimeout: listTimeoutMs });
  try {
    const headers = ['accept', 'application/json', ...(apiKey === undefined ? [] : ['authorization', `Bearer ${apiKey}`])];
    const listed = await list(
      { dispatcher: client, path: `${pathname.replace(/\/+$/, '')}/models`, headers },
      AbortSignal.timeout(listTimeoutMs),
    );
    if (typeof listed === 'string') throw new Error(listed);
    return listed.flatMap((model) => (typeof model.id === 'string' && model.id !== '' ? [{ id: model.id, source: sourceOf(model) }] : []));
  } finally {
    await client.destroy();
  }
}
