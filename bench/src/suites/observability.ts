import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { interleave } from '../harness/interleave.ts';
import { describeMachine, describeVersions, loadWarning } from '../harness/machine.ts';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import { startRequestClient, type RequestClient } from '../load/request-client.ts';
import { startFakedGateway, type FakedGateway } from '../observability/gateway.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const connections = 32;
const durationMs = 500;
const warmups = 2;
const goal = { atLeast: 0.97 };

const message = { role: 'user', content: '你好' };
const workloads = [
  { name: 'answers of 16 tokens', body: { model: 'default', messages: [message] } },
  { name: 'streams of 16 tokens', body: { model: 'default', messages: [message], stream: true } },
] as const;

/** What it costs to know where the time goes. */
export const observabilitySuite: Suite = {
  name: 'observability',
  description: 'requests a second through a fake engine: segments, metrics, diagnosis and traces (1 % sampled) on against nothing observed',
  async run(options) {
    const startedAt = new Date().toISOString();
    const machine = describeMachine();
    const bench = await openBench(options);
    try {
      const figures: Figure[] = [];
      for (const workload of workloads) figures.push(...(await measure(bench, workload, options)));
      const warning = loadWarning(machine);
      return {
        suite: 'observability', startedAt, machine, versions: describeVersions(),
        settings: { connections, 'round ms': durationMs, runs: options.runs },
        figures, notes,
        warnings: warning === undefined ? [] : [warning],
      };
    } finally {
      await bench.close();
    }
  },
};

const notes = [
  `Each contestant is a gateway process of its own in front of an engine that answers at once; ${connections} connections ask over and over for ${durationMs} ms. ` +
    'The client is another process, which only looks for the ends of answers. The engine’s time is nothing here: a real one makes every ratio better.',
  '“Everything” is the default configuration with traces, of which a collector gets one in a hundred. “Switched off” has the metrics, the diagnosis and the traces off, and still tells every client its segments. ' +
    '“Nothing” is the same request path without even those, as no configuration can have it.',
  'Processor time is that of the gateway process, over the requests that it answered.',
];

interface Bench {
  readonly everything: FakedGateway;
  readonly segments: FakedGateway;
  readonly nothing: FakedGateway;
  readonly client: RequestClient;
  readonly waker: CoreWaker;
  close(): Promise<void>;
}

async function openBench({ onProgress }: SuiteOptions): Promise<Bench> {
  onProgress('starting the contestants');
  const collector = await startCollector();
  const address = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const everything = await startFakedGateway('everything', address);
  const segments = await startFakedGateway('segments', address);
  const nothing = await startFakedGateway('nothing', address);
  const client = startRequestClient();
  const waker = new CoreWaker();
  return {
    everything, segments, nothing, client, waker,
    async close() {
      await waker.close();
      client.close();
      for (const gateway of [everything, segments, nothing]) gateway.close();
      collector.closeAllConnections();
      collector.close();
    },
  };
}

/** Takes whatever it is sent. */
function startCollector(): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume().once('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  });
  return new Promise((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, () => resolve(server)));
}

async function measure({ everything, segments, nothing, client, waker }: Bench, { name, body }: (typeof workloads)[number], { runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  onProgress(name);
  const contestants = [everything, segments, nothing];
  const cpu = contestants.map((): number[] => []);
  const measures = contestants.map((gateway, index) => async () => {
    const before = await gateway.cpuMs();
    const { requests, elapsedMs } = await client.run({ url: gateway.url, body, connections, durationMs });
    cpu[index]?.push(((await gateway.cpuMs()) - before) * 1000 / requests);
    return (requests * 1000) / elapsedMs;
  });
  const [on = [], off = [], bare = []] = await interleave(measures, { runs, warmups, settle: () => waker.wake() });
  const [onCpu = [], , bareCpu = []] = cpu.map((samples) => samples.slice(-runs));
  return [
    figure({ name: `${name}, everything`, unit: 'requests/s', samples: on, reference: { name: 'nothing', samples: bare }, goal }),
    figure({ name: `${name}, everything`, unit: 'requests/s', samples: on, reference: { name: 'switched off', samples: off } }),
    figure({ name: `${name}, processor time of one`, unit: 'µs', samples: onCpu, reference: { name: 'nothing', samples: bareCpu } }),
  ];
}
