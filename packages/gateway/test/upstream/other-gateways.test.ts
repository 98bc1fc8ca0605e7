import { describe, expect, it } from 'vitest';
import { chatBody, startTestServer } from '../support.ts';
import { chat, chunksOf, startGatewayWith, textOf, until } from './support.ts';

/** As `autoglm serve --engine` writes them. */
function entryOf(url: string, model: string, name: string): object {
  return { kind: 'openai', name, url: `${url}/v1`, model, upstream_model: 'default' };
}

describe('in front of other gateways', () => {
  it('their default model is asked for as default, and by the name given to it, and they are its replicas', async () => {
    await using one = await startTestServer();
    await using other = await startTestServer();
    await using front = await startGatewayWith({ engines: [entryOf(one.url, 'shared', 'one'), entryOf(other.url, 'shared', 'other')] });
    await until(async () => (await front.get('/readyz')).status === 200);
    const { data } = (await front.get('/v1/models')).body as { data: { id: string; autoglm: { source?: string; engines: object[] } }[] };
    const source = ((await (await fetch(`${one.url}/v1/models`)).json()) as { data: typeof data }).data[0]?.autoglm.source;
    expect(data.map(({ id, autoglm }) => [id, autoglm.source, autoglm.engines.length])).toEqual([
      ['default', source, 2],
      ['shared', source, 2],
    ]);
    for (const model of ['default', 'shared']) {
      const answered = new Set<string | null>();
      for (let asked = 0; asked < 4; asked += 1) {
        const response = await front.post(chat, { ...chatBody, model });
        expect(await response.json()).toMatchObject({ model, choices: [{ finish_reason: 'stop' }] });
        answered.add(response.headers.get('x-autoglm-engine'));
      }
      expect([...answered].sort()).toEqual(['one', 'other']);
      const chunks = chunksOf(await (await front.post(chat, { ...chatBody, model, stream: true })).text());
      expect(textOf(chunks)).not.toBe('');
    }
  });

  it('default is none of two that differ', async () => {
    await using one = await startTestServer();
    await using other = await startTestServer();
    await using front = await startGatewayWith({ engines: [entryOf(one.url, 'small', 'one'), entryOf(other.url, 'large', 'other')] });
    expect((await front.post(chat, chatBody)).status).toBe(404);
    expect((await front.post(chat, { ...chatBody, model: 'large' })).headers.get('x-autoglm-engine')).toBe('other');
  });

  it('default is the embedded model where one runs here', async () => {
    await using other = await startTestServer();
    await using front = await startGatewayWith({
      engines: [entryOf(other.url, 'shared', 'other')],
      model_config: { path: '/nowhere/model.gguf' },
    });
    const { engines } = (await front.get('/readyz')).body as { engines: { name: string; model: string }[] };
    expect(engines.map(({ name, model }) => [model, name])).toEqual([
      ['default', 'embedded'],
      ['shared', 'other'],
    ]);
  });
});
