import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { isNestedTooDeeply, nestingMax } from '../src/common/nesting.ts';
import { startFakeBackend } from './upstream/fake-backend.ts';
import { chat, chatBody, startRemoteGateway } from './upstream/support.ts';

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

describe('nesting', () => {
  it.each<[string, string, boolean]>([
    ['as much as there may be', nested(nestingMax), false],
    ['one more', nested(nestingMax + 1), true],
    ['one more, of objects', `${'{"a":'.repeat(nestingMax + 1)}1${'}'.repeat(nestingMax + 1)}`, true],
    ['many, side by side', `[${Array.from({ length: 3 * nestingMax }, () => '[{}]').join(',')}]`, false],
    ['in a text', JSON.stringify([nested(3 * nestingMax)]), false],
    [
      'in a text with quotation marks and backslashes',
      JSON.stringify([`\\" ${nested(3 * nestingMax)} \\`, `"${nested(3 * nestingMax)}`]),
      false,
    ],
    ['after a text', `["\\\\",${nested(nestingMax)}]`, true],
    ['without an end', '['.repeat(3 * nestingMax), true],
    ['a text without an end', `["${nested(3 * nestingMax)}`, false],
  ])('%s: %s', (_, json, isTooDeep) => {
    expect(isNestedTooDeeply(json)).toBe(isTooDeep);
  });

  it('is refused at the door, in JSON and in MessagePack, and counts against no engine', async () => {
    await using backend = await startFakeBackend();
    await using server = await startRemoteGateway([backend.url]);
    const plain = JSON.stringify(chatBody).slice(0, -1);
    for (const field of ['tools', 'response_format', 'metadata', 'extra_body']) {
      const response = await server.post(chat, undefined, { body: `${plain},"${field}":${nested(100_000)}}` });
      expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([400, 'invalid_value']);
    }
    // Not as deep as MessagePack cannot be read any more.
    const packed = new Packr({ useRecords: false }).pack({ ...chatBody, tools: JSON.parse(nested(nestingMax + 1)) as unknown });
    const response = await server.post(chat, undefined, { body: packed, headers: { 'content-type': 'application/msgpack' } });
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([400, 'invalid_json']);
    const embeddings = { model: chatBody.model, input: 'a' };
    expect(
      (await server.post('/v1/embeddings', undefined, { body: `${JSON.stringify(embeddings).slice(0, -1)},"user":${nested(100_000)}}` }))
        .status,
    ).toBe(400);
    expect((await server.post(chat, chatBody)).status).toBe(200);
    expect(backend.requests).toHaveLength(1);
  });

  it('of a session grows no further by patches', async () => {
    await using backend = await startFakeBackend();
    await using server = await startRemoteGateway([backend.url]);
    const made = await server.post('/v1/sessions', chatBody);
    const { id } = (await made.json()) as { id: string };
    const patch = (place: string, etag: string | null) =>
      server.post(`/v1/sessions/${id}`, undefined, {
        method: 'PATCH',
        body: `[{"op":"add","path":"/extra${place}","value":${nested(600)}}]`,
        headers: { 'content-type': 'application/json-patch+json', 'if-match': etag ?? '' },
      });
    const first = await patch('', made.headers.get('etag'));
    expect(first.status).toBe(204);
    const second = await patch(`${'/0'.repeat(599)}/-`, first.headers.get('etag'));
    expect([second.status, await second.json()]).toMatchObject([400, { error: { code: 'invalid_value' } }]);
  });
});
