import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { interleave } from '../harness/interleave.ts';
import { figure, type Figure } from '../harness/report.ts';
import { CoreWaker } from '../harness/wake-cores.ts';
import { startServer, type RunningServer } from '../server/server-process.ts';
import { askStream, send, type Asked } from '../wire/ask.ts';
import { encodings, type WireEncoding } from '../wire/encodings.ts';
import { conversation, createPayloads, type Payload } from '../wire/payloads.ts';
import type { Suite, SuiteOptions } from './suite.ts';

const turnCount = 20;
/** Each sample is the mean of as many encodings as this takes. */
const sampleMs = 20;
const warmups = 2;

/** What is sent, in bytes and in time: encodings of the same values, and a turn of a session against the whole conversation. */
export const wireSuite: Suite = {
  name: 'wire',
  description:
    'bytes, encoding and decoding of JSON, JSON + brotli and MessagePack; a session’s turn as a patch against the whole conversation',
  parts: ['encodings', 'sessions'],
  async run(options) {
    const figures: Figure[] = [];
    if (options.parts.has('encodings')) figures.push(...(await measureEncodings(options)));
    if (options.parts.has('sessions')) figures.push(...(await measureSessions(options)));
    return {
      settings: { model: options.model, threads: options.threads, runs: options.runs, turns: turnCount },
      figures,
      notes: [
        'Encodings: the gateway’s own functions in one process; brotli at quality 4. A stream is its events, or its values one after the other. Vectors have nine digits in JSON and float32 in MessagePack.',
        `Sessions: a conversation of ${turnCount} turns and one more, over loopback, each round with texts of its own. “whole, nothing known”: a tenant that never asked; “whole, prefix known”: one whose ` +
          'conversation so far was asked before, so that what is left between it and the patch is what the bytes and the second request cost. Times to first text include the PATCH.',
      ],
    };
  },
};

type Task = 'encode' | 'decode';

async function measureEncodings({ runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  const waker = new CoreWaker();
  const figures: Figure[] = [];
  try {
    for (const payload of createPayloads()) {
      onProgress(payload.name);
      const bytes = encodings.map((encoding) => encoding.encode(payload));
      const timed = async (task: Task) =>
        interleave(
          encodings.map((encoding, index) => async () => timeOf(task, encoding, payload, bytes[index] as Buffer)),
          { runs, warmups, settle: () => waker.wake() },
        );
      const [encode, decode] = [await timed('encode'), await timed('decode')];
      for (const [index, { name }] of encodings.entries()) {
        const line = (unit: 'bytes' | 'µs', what: string, samples: readonly (readonly number[])[]) => {
          const reference = index === 0 ? {} : { reference: { name: 'JSON', samples: samples[0] as readonly number[] } };
          return figure({ name: `${payload.name}: ${name}, ${what}`, unit, samples: samples[index] as readonly number[], ...reference });
        };
        figures.push(
          line(
            'bytes',
            'size',
            bytes.map(({ length }) => [length]),
          ),
          line('µs', 'encode', encode),
          line('µs', 'decode', decode),
        );
      }
    }
  } finally {
    await waker.close();
  }
  return figures;
}

/** Microseconds of one encoding or decoding. */
function timeOf(task: Task, encoding: WireEncoding, payload: Payload, bytes: Buffer): number {
  const since = performance.now();
  let count = 0;
  do {
    if (task === 'encode') encoding.encode(payload);
    else encoding.decode(payload, bytes);
    count += 1;
  } while (performance.now() - since < sampleMs);
  return ((performance.now() - since) / count) * 1000;
}

async function measureSessions({ model, threads, runs, onProgress }: SuiteOptions): Promise<Figure[]> {
  onProgress('starting the server');
  const folder = await mkdtemp(path.join(tmpdir(), 'autoglm-bench-'));
  const server = await startServer({ model, threads }, folder);
  const waker = new CoreWaker();
  try {
    onProgress('sessions');
    const ways = [askUnknown, askKnown, askSession, askInOne];
    const asked: Asked[][] = ways.map(() => []);
    let round = 0;
    const measures = ways.map((way, index) => async () => {
      round += 1;
      const result = await way(server, `${Date.now()}-${round}`);
      asked[index]?.push(result);
      return result.firstTextMs;
    });
    const [unknown = [], known = [], session = [], inOne = []] = await interleave(measures, { runs, warmups, settle: () => waker.wake() });
    const [unknownAsked = [], knownAsked = [], sessionAsked = [], inOneAsked = []] = asked.map((all) => all.slice(-runs));
    const bytesOf = (all: readonly Asked[]) => all.map(({ sentBytes }) => sentBytes);
    const cachedOf = (all: readonly Asked[]) => all.map(({ cachedTokens }) => cachedTokens);
    const whole = { name: 'whole conversation', samples: bytesOf(unknownAsked) };
    return [
      figure({
        name: 'one turn more, patch and question: bytes sent',
        unit: 'bytes',
        samples: bytesOf(sessionAsked),
        reference: whole,
        goal: { below: 0.1501 },
      }),
      figure({
        name: 'one turn more, both in one request: bytes sent',
        unit: 'bytes',
        samples: bytesOf(inOneAsked),
        reference: whole,
        goal: { below: 0.1501 },
      }),
      figure({
        name: 'time to first text, session',
        unit: 'ms',
        samples: session,
        reference: { name: 'whole, nothing known', samples: unknown },
        goal: { below: 0.4001 },
      }),
      figure({
        name: 'time to first text, session',
        unit: 'ms',
        samples: session,
        reference: { name: 'whole, prefix known', samples: known },
      }),
      figure({
        name: 'time to first text, session, one request',
        unit: 'ms',
        samples: inOne,
        reference: { name: 'whole, nothing known', samples: unknown },
        goal: { below: 0.4001 },
      }),
      figure({
        name: 'time to first text, session, one request',
        unit: 'ms',
        samples: inOne,
        reference: { name: 'whole, prefix known', samples: known },
      }),
      figure({
        name: 'time to first text, whole, prefix known',
        unit: 'ms',
        samples: known,
        reference: { name: 'whole, nothing known', samples: unknown },
      }),
      figure({
        name: 'tokens known before, session',
        unit: 'tokens',
        samples: cachedOf(sessionAsked),
        reference: { name: 'tokens of the prompt', samples: sessionAsked.map(({ promptTokens }) => promptTokens) },
      }),
      figure({
        name: 'tokens known before, whole, prefix known',
        unit: 'tokens',
        samples: cachedOf(knownAsked),
        reference: { name: 'tokens of the prompt', samples: knownAsked.map(({ promptTokens }) => promptTokens) },
      }),
      figure({ name: 'tokens known before, whole, nothing known', unit: 'tokens', samples: cachedOf(unknownAsked) }),
    ];
  } finally {
    await waker.close();
    await server.stop();
    await rm(folder, { recursive: true });
  }
}

const question = { stream: true, stream_options: { include_usage: true }, max_tokens: 4 } as const;
const nextTurn = { role: 'user', content: '好的，那就三点，到了以后打哪个电话？' } as const;
const fixed = { model: 'default', temperature: 0 } as const;

/** Everything is sent, by a tenant whose prompts nobody keeps. */
function askUnknown({ url }: RunningServer, salt: string): Promise<Asked> {
  return askStream({
    method: 'POST',
    url: `${url}/v1/chat/completions`,
    body: { ...fixed, messages: [...conversation(turnCount, salt), nextTurn], ...question },
    headers: { 'x-autoglm-tenant': salt },
  });
}

/** Everything is sent, and what came before this turn was asked before. */
async function askKnown({ url }: RunningServer, salt: string): Promise<Asked> {
  const headers = { 'x-autoglm-tenant': salt };
  const messages = conversation(turnCount, salt);
  await send({ method: 'POST', url: `${url}/v1/chat/completions`, body: { ...fixed, messages, max_tokens: 1 }, headers });
  return askStream({
    method: 'POST',
    url: `${url}/v1/chat/completions`,
    body: { ...fixed, messages: [...messages, nextTurn], ...question },
    headers,
  });
}

/** A session whose turns so far were asked before. */
async function openSession(
  { url }: RunningServer,
  salt: string,
): Promise<{ readonly session: string; readonly etag: string; readonly headers: Readonly<Record<string, string>> }> {
  const headers = { 'x-autoglm-tenant': salt };
  const created = await send({
    method: 'POST',
    url: `${url}/v1/sessions`,
    body: { ...fixed, messages: conversation(turnCount, salt) },
    headers,
  });
  const session = `${url}/v1/sessions/${(JSON.parse(created.text) as { id: string }).id}`;
  await send({ method: 'POST', url: `${session}/completions`, body: { max_tokens: 1 }, headers });
  return { session, etag: created.headers['etag'] as string, headers };
}

const patch = [{ op: 'add', path: '/messages/-', value: nextTurn }] as const;

/** What came before is the server's; the turn is a patch, and asked then. */
async function askSession(server: RunningServer, salt: string): Promise<Asked> {
  const { session, etag, headers } = await openSession(server, salt);
  const since = performance.now();
  const patched = await send({
    method: 'PATCH',
    url: session,
    body: patch,
    headers: { ...headers, 'content-type': 'application/json-patch+json', 'if-match': etag },
  });
  return askStream(
    {
      method: 'POST',
      url: `${session}/completions`,
      body: question,
      headers: { ...headers, 'if-match': patched.headers['etag'] as string },
    },
    { since, sentBytes: patched.sentBytes },
  );
}

/** The patch comes with the question. */
async function askInOne(server: RunningServer, salt: string): Promise<Asked> {
  const { session, etag, headers } = await openSession(server, salt);
  return askStream({
    method: 'POST',
    url: `${session}/completions`,
    body: { ...question, autoglm: { patch } },
    headers: { ...headers, 'if-match': etag },
  });
}
