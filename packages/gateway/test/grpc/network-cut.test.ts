import { once } from 'node:events';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { mayMakeNamespaces, Wire } from '../network-namespaces.ts';
import { chatBody } from '../support.ts';
import { hasOpenssl, makeCertificates } from './support.ts';

const scriptOf = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const said = async (child: ChildProcess) => ((await once(child, 'message')) as [unknown])[0];
const ask = (child: ChildProcess, what: object | string) => {
  child.send(what);
  return said(child);
};

describe.skipIf(!mayMakeNamespaces() || !hasOpenssl())('two network namespaces and a wire (skipped where they cannot be made)', () => {
  it('when the wire is cut in a decision, both sides find out and let go, and when it is mended decisions are made again', async () => {
    await using certificates = await makeCertificates();
    using wire = new Wire();
    const server = await wire.start(wire.far, scriptOf('./namespace-server.ts'), certificates.folder);
    const { child: client } = await wire.start(wire.near, scriptOf('./namespace-client.ts'), JSON.stringify({ target: `${wire.farAddress}:${String(server.said)}`, folder: certificates.folder }));
    expect(await ask(client, chatBody)).toEqual({ begun: true });
    expect(await said(client)).toEqual({ text: 'yes.' });

    expect(await ask(client, { ...chatBody, messages: [{ role: 'user', content: 'for good' }] })).toEqual({ begun: true });
    expect(await ask(server.child, 'running')).toBe(1);
    wire.cut();
    expect(await said(client)).toEqual({ code: status.UNAVAILABLE });
    while ((await ask(server.child, 'running')) !== 0);

    wire.mend();
    let again = await ask(client, chatBody);
    while (!(again as { readonly begun?: boolean }).begun) again = await ask(client, chatBody);
    expect(await said(client)).toEqual({ text: 'yes.' });
  });
});
