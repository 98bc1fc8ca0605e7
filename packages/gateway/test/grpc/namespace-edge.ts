/**
 * A gateway in a network namespace of its own that decides quickly itself, and leaves the rest to another one; argument: where that is,
 * and with which certificates. Its own client is here, too: each message is the next state, and what is decided is told.
 */
import path from 'node:path';
import { openTiers } from '@open-autoglm/client/tiers';
import { startGrpcGateway } from './support.ts';

const { target, folder } = JSON.parse(process.argv[2] as string) as { readonly target: string; readonly folder: string };
const file = (name: string) => path.join(folder, name);
const upstream = { target, level: 'answer', tls: { ca: file('ca.pem'), cert: file('client.pem'), key: file('client.key') } };
const edge = await startGrpcGateway(
  { levels: [{ name: 'quick' }, { name: 'full', upstream }], keepalive_ms: 200 },
  { tokens: ['perhaps', '.'] },
);
const conversation = openTiers({ target: edge.target }).converse({ on: (event) => process.send?.(event) });

process.on('disconnect', () => process.exit(0));
process.on('message', (state: object) => conversation.update(state));
process.send?.('ready');
