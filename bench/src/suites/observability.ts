import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure } from '../harness/report.ts';
import { startRequestClient, type RequestClient } from '../load/request-client.ts';
import { startFakedGateway, type FakedGateway, type Watching } from '../observability/gateway.ts';
import type { Suite } from './suite.ts';

const connections = 32;
/** Short, so that whatever else wants the machine for a moment hits neighbours alike. */
const sliceMs = 200;
/** Long enough for V8, which compiles the whole path twice; longer, the suite would take minutes. */
const warmUpMs = 2500;
/** Every contestant is started so many times: how a process's code is compiled and its heap laid out differs from start to start by more than what is measured. */
const starts = 3;
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
  needsNoModel: true,
  async run(options) {
    const samples = workloads.map((): Samples => ({ rates: contestants.map(() => []), costs: contestants.map(() => []) }));
    for (let begun = 0; begun < starts; begun += 1) {
      options.onProgress(`start ${begun + 1} of ${starts}`);
      const bench = await openBench();
      try {
        for (const [index, { body }] of workloads.entries()) await measure(bench, body, options.runs, samples[index] as Samples);
      } finally {
        await bench.close();
      }
    }
    return {
      settings: { connections, 'slice ms': sliceMs, starts, runs: options.runs },
      figures: workloads.flatMap(({ name }, index) => figuresOf(name, samples[index] as Samples)),
      notes,
    };
  },
};

const notes = [
  `Each contestant is a gateway process of its own in front of an engine that answers at once; ${connections} connections ask over and over for ${sliceMs} ms, then it is the next one’s turn; all are started anew ${starts} times. ` +
    'The client is another process, which only looks for the ends of answers. The engine’s time is nothing here: a real one makes every ratio better.',
  '“Everything” is the default configuration with traces, of which a collector gets one in a hundred. “Switched off” has the metrics, the diagnosis and the traces off, and still tells every client its segments. ' +
    '“Nothing” is the same request path without even those, as no configuration can have it.',
  'Processor time is that of the gateway process, over the requests that it answered.',
];

const contestants = ['everything', 'segments', 'nothing'] as const satisfies readonly Watching[];

/** By contestant, in the order above: requests a second, and microseconds of processor time for one. */
interface Samples {
  readonly rates: readonly number[][];
  readonly costs: readonly number[][];
}

interface Bench {
  readonly gateways: readonly FakedGateway[];
  readonly client: RequestClient;
  close(): Promise<void>;
}

async function openBench(): Promise<Bench> {
  const collector = await startCollector();
  const address = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const gateways = await Promise.all(contestants.map((watching) => startFakedGateway(watching, address)));
  const client = startRequestClient();
  return {
    gateways, client,
    async close() {
      client.close();
      for (const gateway of gateways) gateway.close();
      collector.closeAllConnections();
      await new Promise((resolve) => collector.close(resolve));
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

async function measure({ gateways, client }: Bench, body: object, runs: number, { rates, costs }: Samples): Promise<void> {
  for (const { url } of gateways) await client.run({ url, body, connections, durationMs: warmUpMs });
  const measures = gateways.map((gateway, index) => async () => {
    const before = await gateway.cpuMs();
    const { requests, elapsedMs } = await client.run({ url: gateway.url, body, connections, durationMs: sliceMs });
    costs[index]?.push((((await gateway.cpuMs()) - before) * 1000) / requests);
    return (requests * 1000) / elapsedMs;
  });
  // The load itself keeps the cores awake.
  const figures = await interleave(measures, { runs, warmups: 0, settle: async () => {} });
  for (const [index, samples] of figures.entries()) rates[index]?.push(...samples);
}

function figuresOf(name: string, { rates, costs }: Samples): Figure[] {
  const [on = [], off = [], bare = []] = rates;
  const [onCost = [], , bareCost = []] = costs;
  return [
    figure({ name: `${name}, everything`, unit: 'req/s', samples: on, reference: { name: 'nothing', samples: bare }, goal }),
    figure({ name: `${name}, everything`, unit: 'req/s', samples: on, reference: { name: 'switched off', samples: off }, goal }),
    figure({ name: `${name}, processor time of one`, unit: 'µs', samples: onCost, reference: { name: 'nothing', samples: bareCost } }),
  ];
}
