import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { Opened } from '@open-autoglm/gateway/parts';
import { startBeside } from '../gateway/processes.ts';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure, type Goal } from '../harness/report.ts';
import { startRequestClient, type RequestClient } from '../load/request-client.ts';
import { startGatewayPair, type GatewayPair } from '../observability/gateways.ts';
import type { Suite } from './suite.ts';

const connections = 32;
/** Short, so that whatever else wants the machine for a moment hits neighbours alike. */
const sliceMs = 200;
/** Of each: long enough for V8, which compiles the whole path twice; halfway what is observed looked several times as dear. */
const warmUpMs = 5000;
/** Their process is started so many times: how its code is compiled and its heap laid out differs from start to start. */
const starts = 2;

const message = { role: 'user', content: '你好' };
const workloads = [
  { name: 'answers', body: { messages: [message] } },
  { name: 'streams', body: { messages: [message], stream: true } },
] as const;

/**
 * Where the answers come from. What is observed costs the least beside a server that must be asked, as gateways do; and of one's own
 * process, the most that it can.
 */
const origins = [
  { name: 'a fake backend', model: 'bench', isRemote: true, slicesPerRun: 3, goal: { atLeast: 0.97 } },
  { name: 'an engine in its process', model: 'default', isRemote: false, slicesPerRun: 1, goal: undefined },
] as const;

/** What it costs to know where the time goes. */
export const observabilitySuite: Suite = {
  name: 'observability',
  description: 'requests a second through a gateway: segments, metrics, diagnosis and traces (1 % sampled) on against off',
  needsNoModel: true,
  async run(options) {
    const samples = origins.map(() => workloads.map((): Samples => ({ rates: [[], []], costs: [[], []] })));
    for (let begun = 0; begun < starts; begun += 1) {
      for (const [place, { name, model, isRemote, slicesPerRun }] of origins.entries()) {
        options.onProgress(`${name}, start ${begun + 1} of ${starts}`);
        const bench = await openBench(isRemote);
        try {
          for (const [index, { body }] of workloads.entries())
            await measure(bench, { model, ...body }, options.runs * slicesPerRun, (samples[place] as Samples[])[index] as Samples);
        } finally {
          await bench.close();
        }
      }
    }
    return {
      settings: { connections, 'slice ms': sliceMs, starts, runs: options.runs },
      figures: origins.flatMap(({ name, goal }, place) =>
        workloads.flatMap((workload, index) =>
          figuresOf(`${workload.name} of ${name}`, (samples[place] as Samples[])[index] as Samples, goal),
        ),
      ),
      notes,
    };
  },
};

const notes = [
  `Both are gateways of one process, so that they run the same compiled code on the same heap; ${connections} connections ask one of them over and over for ${sliceMs} ms, then it is the other one’s turn; all is started anew ${starts} times. ` +
    'The client is another process, which only looks for the ends of answers.',
  '“On” is the default configuration with traces, of which a collector gets one in a hundred. “Off” has the metrics, the diagnosis and the traces off, and still tells every client its segments, which no configuration switches off.',
  'The fake backend is a third process, which answers at once; it, the client and the gateway share the cores. An engine in the gateway’s own process costs less than any real one, and makes the share of what is observed the largest that it can be: there is no goal for it.',
  'Processor time is that of the gateways’ process, over the requests that the one whose turn it was answered.',
];

/** On, then off: requests a second, and microseconds of processor time for one. */
interface Samples {
  readonly rates: readonly number[][];
  readonly costs: readonly number[][];
}

interface Bench {
  readonly gateways: GatewayPair;
  readonly client: RequestClient;
  close(): Promise<void>;
}

async function openBench(isRemote: boolean): Promise<Bench> {
  const opened = new Opened();
  try {
    const collector = opened.add(await startCollector(), async (server) => {
      server.closeAllConnections();
      await promisify(server.close).call(server);
    });
    const address = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
    const backend = opened.add(isRemote ? await startBeside('./fake-backend-process.ts') : undefined, (process) => process.stop());
    const gateways = opened.add(await startGatewayPair({ collector: address, backend: backend?.url }), (pair) => pair.close());
    const client = opened.add(startRequestClient(), (process) => process.close());
    return { gateways, client, close: () => opened.close() };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

/** Takes whatever it is sent. */
function startCollector(): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume().once('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  });
  return new Promise((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, () => resolve(server)));
}

async function measure({ gateways, client }: Bench, body: object, runs: number, { rates, costs }: Samples): Promise<void> {
  for (const url of gateways.urls) await client.run({ url, body, connections, durationMs: warmUpMs });
  const measures = gateways.urls.map((url, index) => async () => {
    const before = await gateways.cpuMs();
    const { requests, elapsedMs } = await client.run({ url, body, connections, durationMs: sliceMs });
    costs[index]?.push((((await gateways.cpuMs()) - before) * 1000) / requests);
    return (requests * 1000) / elapsedMs;
  });
  // The load itself keeps the cores awake.
  const figures = await interleave(measures, { runs, warmups: 0, settle: async () => {} });
  for (const [index, samples] of figures.entries()) rates[index]?.push(...samples);
}

function figuresOf(
  name: string,
  { rates: [on = [], off = []], costs: [onCost = [], offCost = []] }: Samples,
  goal: Goal | undefined,
): Figure[] {
  return [
    figure({ name, unit: 'req/s', samples: on, reference: { name: 'off', samples: off }, goal }),
    figure({ name: `${name}: processor time of one`, unit: 'µs', samples: onCost, reference: { name: 'off', samples: offCost } }),
  ];
}
