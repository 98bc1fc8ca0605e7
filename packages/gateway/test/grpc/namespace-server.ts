/**
 * A gateway in a network namespace of its own, which decides over gRPC with mutual TLS; argument: the folder of certificates. Tells how
 * many sequences run when asked.
 */
import path from 'node:path';
import { chatBody } from '../support.ts';
import { startGrpcGateway } from './support.ts';

const folder = process.argv[2] as string;
const file = (name: string) => path.join(folder, name);
const { engine, gateway } = await startGrpcGateway(
  { host: '10.77.0.2', tls: { cert: file('server.pem'), key: file('server.key'), client_ca: file('ca.pem') }, keepalive_ms: 200 },
  {
    tokens: ['yes', '.'],
    // Whoever asks for something else than the usual waits for good.
    beforeToken: (index, { prompt }, signal) =>
      index === 1 && 'segments' in prompt && !prompt.segments.some(({ text }) => text.includes(chatBody.messages[0]?.content ?? ''))
        ? new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        : undefined,
  },
);
process.on('disconnect', () => process.exit(0));
process.on('message', () => process.send?.(engine.runningCount));
process.send?.(gateway.grpcPort);
