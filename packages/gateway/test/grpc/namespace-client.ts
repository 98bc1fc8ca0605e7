/** A client in a network namespace of its own; argument: where it connects and with which certificates. It opens a conversation for each message, and tells how it ended. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ChannelCredentials } from '@grpc/grpc-js';
import { RawConversation } from './support.ts';

const { target, folder } = JSON.parse(process.argv[2] as string) as { readonly target: string; readonly folder: string };
const read = (name: string) => readFileSync(path.join(folder, name));
const credentials = ChannelCredentials.createSsl(read('ca.pem'), read('client.key'), read('client.pem'));
/** How a client finds out that nobody is there any more. */
const options = { 'grpc.keepalive_time_ms': 200, 'grpc.keepalive_timeout_ms': 200, 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 200 };

process.on('disconnect', () => process.exit(0));
process.on('message', async (document: object) => {
  using conversation = new RawConversation(target, credentials, {}, options);
  conversation.hello().document(1, document);
  try {
    await conversation.until((message) => ('decision' in message ? message : undefined));
    process.send?.({ begun: true });
    const { text } = await conversation.final('answer', 1);
    process.send?.({ text });
  } catch (error) {
    process.send?.({ code: (error as { readonly code?: number }).code });
  }
});
process.send?.('ready');
