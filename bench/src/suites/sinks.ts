import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure } from '../harness/report.ts';
import { quantile } from '@open-autoglm/statistics';
import { CoreWaker } from '../harness/wake-cores.ts';
import { startSinkGateway, type SinkGateway } from '../sinks/gateway.ts';
import { startPacedClient, type PacedClient } from '../sinks/paced-client.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const perSecond = 300;
/** Its p99 is that of twelve requests; eleven rounds of both take 105 s. */
const perRound = 1200;
const warmups = 1;
/** Fills the buffers: 4 MiB of lines, 2048 spans. */
const fillCount = 12_000;
const fillPerSecond = 1000;
const body = { model: 'default', messages: [{ role: 'user', content: '你好' }], stream: true };

/** What requests notice of a log and a collector that do not work. */
export const sinksSuite: Suite = {
  name: 'sinks',
  description: 'p99 of requests and memory with a log that blocks and a dead collector, against sinks that work',
  needsNoModel: true,
  async run(options) {
    const bench = await openBench(options);
    try {
      const grown = await fill(bench, options);
      const latencies = await measureLatencies(bench, options);
      return {
        settings: {
          'requests/s': perSecond,
          'requests a round': perRound,
          'requests before and while memory is measured': fillCount,
          runs: options.runs,
        },
        figures: [...latencies, ...grown],
        notes,
      };
    } finally {
      await bench.close();
    }
  },
};

const notes = [
  'Both gateways log a line and trace with sample_ratio 1 for every request, far more than one would in production, in front of an engine that answers at once. ' +
    '“Working”: a file and a collector that takes what it is sent. “Blocked”: a FIFO that is open and never read, and an address where nobody listens.',
  `Latency runs from when a request was due, at ${perSecond} a second, to the end of its stream of 16 tokens. The buffers of the blocked gateway were filled before.`,
  'Memory: heap and buffers after a full collection, when as many requests as fill the buffers were answered again, less what it was when they were full.',
];

interface Bench {
  readonly working: SinkGateway;
  readonly blocked: SinkGateway;
  readonly client: PacedClient;
  readonly waker: CoreWaker;
  close(): Promise<void>;
}

async function openBench({ onProgress }: SuiteOptions): Promise<Bench> {
  onProgress('starting the contestants');
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-bench-'));
  const fifo = path.join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  // Opened for both ends, so that whoever writes finds a reader; one that never reads.
  const held = await open(fifo, 'r+');
  const collector = await startCollector();
  const working = await startSinkGateway({ log: path.join(folder, 'log'), collector: addressOf(collector) });
  const blocked = await startSinkGateway({ log: fifo, collector: await deadAddress() });
  const client = startPacedClient();
  const waker = new CoreWaker();
  return {
    working,
    blocked,
    client,
    waker,
    async close() {
      await waker.close();
      client.close();
      working.close();
      blocked.close();
      collector.closeAllConnections();
      collector.close();
      await held.close();
      await rm(folder, { recursive: true });
    },
  };
}

async function fill({ working, blocked, client }: Bench, { onProgress }: SuiteOptions): Promise<Figure[]> {
  const answerMany = ({ url }: SinkGateway) => client.run({ url, body, perSecond: fillPerSecond, count: fillCount });
  onProgress('filling the buffers');
  await answerMany(working);
  await answerMany(blocked);
  const fullBytes = await blocked.heapBytes();
  onProgress('memory');
  await answerMany(blocked);
  return [
    figure({
      name: 'memory grown, sinks blocked',
      unit: 'MB',
      samples: [((await blocked.heapBytes()) - fullBytes) / 1e6],
      goal: { below: 2 },
    }),
  ];
}

async function measureLatencies({ working, blocked, client, waker }: Bench, { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  onProgress('latency');
  const rounds: number[][][] = [[], []];
  const measures = [working, blocked].map(({ url }, index) => async () => {
    const latenciesMs = await client.run({ url, body, perSecond, count: perRound });
    rounds[index]?.push([...latenciesMs]);
    return quantile(latenciesMs, 0.99);
  });
  const [workingP99 = [], blockedP99 = []] = await interleave(measures, { runs, warmups, settle: () => waker.wake() });
  const [workingP50 = [], blockedP50 = []] = rounds.map((latencies) => latencies.slice(-runs).map((of) => quantile(of, 0.5)));
  return [
    figure({
      name: 'p99 of a stream, sinks blocked',
      unit: 'ms',
      samples: blockedP99,
      reference: { name: 'sinks working', samples: workingP99 },
      goal: { below: 1.05 },
    }),
    figure({
      name: 'p50 of a stream, sinks blocked',
      unit: 'ms',
      samples: blockedP50,
      reference: { name: 'sinks working', samples: workingP50 },
    }),
  ];
}

/** Takes whatever it is sent. */
async function startCollector(): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume().once('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function deadAddress(): Promise<string> {
  const server = await startCollector();
  const address = addressOf(server);
  server.close();
  await once(server, 'close');
  return address;
}
