import {
  AutoglmError,
  type ChatMessage,
  type DocumentOptions,
  type EmbeddingAnswer,
  type EmbeddingRequest,
  type EmitEvent,
  type GatewayRequest,
  type Next,
} from '@open-autoglm/protocol';
import { tokensTo } from '../../common/tokens-to.ts';
import { dot, unitVector } from '../../common/unit-vector.ts';
import { withContent } from '../fit/conversation.ts';
import type { PromptSize } from '../fit/prompt-size.ts';
import { chunksOf, type Chunk } from './chunks.ts';
import { inParallel } from './in-parallel.ts';

/** Makes embeddings, as `/v1/embeddings` does. */
export type Embed = (call: {
  readonly model: string;
  readonly request: EmbeddingRequest;
  readonly signal: AbortSignal;
  readonly emit: EmitEvent;
}) => Promise<EmbeddingAnswer>;

export interface DocumentParts {
  readonly embed: Embed;
  /** The model that makes embeddings where a request names none; undefined: there is none. */
  readonly embeddingModel: () => string | undefined;
  /** Tokens of the prompt that documents may take where a request does not say. */
  readonly tokensMax: number;
  /** Calls of one request at a time. */
  readonly concurrency: number;
  /** More pieces than this are refused. */
  readonly chunksMax: number;
}

/** Characters: short enough for the 512 tokens that most models for embeddings read, and so that several pieces have room in the prompt. */
const [embeddedCharactersMin, embeddedCharactersMax] = [80, 400];
/** Texts of one call: an engine of ours encodes those of all calls together anyway. */
const textsOfCall = 32;
/** Tokens of what one summary is of, and the fewest that a summary may have. */
const summarizedTokens = 768;
const summaryTokensMin = 24;

/** What of the documents came into the prompt. */
interface Reading {
  readonly texts: readonly { readonly document: number; readonly text: string }[];
  /** For the note. */
  readonly note: Readonly<Record<string, unknown>>;
}

/**
 * The request with what its documents say put before its question: the chunks that come nearest to it, or a summary of each part.
 * Chunks are encoded, and parts summarized, side by side. Rejects with `invalid_value`, with the errors of who encodes or summarizes,
 * or with the signal's reason.
 */
export async function readDocuments(
  request: GatewayRequest,
  asked: DocumentOptions,
  { size, next, parts }: { size: PromptSize; next: Next; parts: DocumentParts },
): Promise<GatewayRequest> {
  const { input } = request;
  const lastUser = input.kind === 'chat' ? input.messages.findLastIndex(({ role }) => role === 'user') : -1;
  const question = input.kind === 'chat' ? (input.messages[lastUser]?.content ?? '') : '';
  if (input.kind !== 'chat' || question.trim() === '') {
    throw new AutoglmError(
      'invalid_value',
      "Invalid value for 'autoglm.documents': they are read for the question of a chat's last user message, and there is none.",
      { param: 'autoglm.documents' },
    );
  }
  const tokensMax = asked.tokensMax ?? parts.tokensMax;
  const task = { request, asked, question, tokensMax, size, parts, next };
  const { texts, note } = asked.mode === 'embed' ? await nearest(task) : await summaries(task);
  const block = writeBlock(asked, texts);
  request.emit({ type: 'answer-note', name: 'documents', value: { mode: asked.mode, documents: asked.texts.length, ...note } });
  const messages = input.messages.map((message, index) => (index === lastUser ? withText(message, block) : message));
  return { ...request, input: { kind: 'chat', messages } };
}

interface Task {
  readonly request: GatewayRequest;
  readonly asked: DocumentOptions;
  readonly question: string;
  readonly tokensMax: number;
  readonly size: PromptSize;
  readonly parts: DocumentParts;
  readonly next: Next;
}

async function nearest({ request, asked, question, tokensMax, size, parts }: Task): Promise<Reading> {
  const model = asked.model ?? parts.embeddingModel();
  if (model === undefined) {
    throw new AutoglmError(
      'unsupported_feature',
      '\'autoglm.documents.mode\' is "embed", and this server has no model for embeddings: name one in \'autoglm.documents.model\', have "embeddings: {model: bge-small-zh}" configured, or use the mode "summarize".',
      { param: 'autoglm.documents.mode' },
    );
  }
  const characters = Math.min(embeddedCharactersMax, Math.max(embeddedCharactersMin, Math.floor(tokensMax / 3)));
  const chunks = checked(
    chunksOf(
      asked.texts.map(({ text }) => text),
      characters,
      (text) => text.length,
    ),
    parts,
  );
  const inputs = [question, ...chunks.map(({ text }) => text)];
  const groups = Array.from({ length: Math.ceil(inputs.length / textsOfCall) }, (_, index) =>
    inputs.slice(index * textsOfCall, (index + 1) * textsOfCall),
  );
  let embeddedTokens = 0;
  const answers = await inParallel([...groups.entries()], parts.concurrency, request.signal, async ([index, group], signal) => {
    const answer = await parts.embed({
      model,
      signal,
      emit: tokensTo(request.emit, model),
      request: {
        id: `${request.id}/documents-${index}`,
        inputs: group,
        truncate: true,
        lane: request.lane,
        traceContext: request.traceContext,
      },
    });
    embeddedTokens += answer.promptTokens;
    return answer.vectors;
  });
  const [wanted, ...vectors] = answers.flat().map(unitVector);
  const scores = vectors.map((vector) => (wanted && vector?.length === wanted.length ? dot(wanted, vector) : 0));
  const tokens = await size.countTexts(
    chunks.map(({ text }) => text),
    request.signal,
  );
  const used: number[] = [];
  let left = tokensMax;
  for (const { index } of scores.map((score, place) => ({ index: place, score })).sort((a, b) => b.score - a.score)) {
    if ((tokens[index] ?? 0) > left) continue;
    used.push(index);
    left -= tokens[index] ?? 0;
  }
  used.sort((a, b) => a - b);
  const told = used.map((index) => ({ ...(chunks[index] as Chunk), score: Number((scores[index] ?? 0).toFixed(4)) }));
  return {
    texts: told,
    note: {
      model,
      chunks: chunks.length,
      embedded_tokens: embeddedTokens,
      tokens: tokensMax - left,
      tokens_max: tokensMax,
      used: told.map(({ document, start, end, score }) => ({ document, start, end, score })),
    },
  };
}

async function summaries({ request, asked, question, tokensMax, size, parts, next }: Task): Promise<Reading> {
  const partMax = Math.min(summarizedTokens, Math.floor((size.contextLength ?? Infinity) / 2));
  const pieces = asked.texts.map(({ text }) => text);
  const counts = new Map<string, number>();
  const all = chunksOf(pieces, 0, () => 1).map(({ text }) => text);
  for (const [index, count] of (await size.countTexts(all, request.signal)).entries()) counts.set(all[index] as string, count);
  const chunks = checked(
    chunksOf(pieces, partMax, (text) => counts.get(text) ?? 0),
    parts,
  );
  const summaryMax = Math.floor(tokensMax / Math.max(1, chunks.length));
  if (summaryMax < summaryTokensMin) {
    throw new AutoglmError(
      'invalid_value',
      `Invalid value for 'autoglm.documents.tokens_max': ${tokensMax} tokens are too few for ${chunks.length} summaries; give at least ${summaryTokensMin * chunks.length}, or use the mode "embed".`,
      { param: 'autoglm.documents.tokens_max' },
    );
  }
  let [read, written] = [0, 0];
  const texts = await inParallel(chunks, parts.concurrency, request.signal, async (chunk, signal) => {
    const summary = await summarize(request, { chunk, question, maxTokens: summaryMax, signal, next, place: chunks.indexOf(chunk) });
    read += summary.promptTokens;
    written += summary.completionTokens;
    return { document: chunk.document, text: summary.text.trim() };
  });
  return {
    texts,
    note: { summaries: chunks.length, summary_prompt_tokens: read, summary_completion_tokens: written, tokens_max: tokensMax },
  };
}

interface Summarizing {
  readonly chunk: Chunk;
  readonly question: string;
  readonly maxTokens: number;
  readonly signal: AbortSignal;
  readonly next: Next;
  readonly place: number;
}

/**
 * A request of its own, down the same path; its events are not those of the answer. It says nothing of the other documents: the same
 * part beside others has the same summary, which is found again. And no client asks it: nothing is learned of what clients ask, or
 * where they are served.
 */
async function summarize(
  request: GatewayRequest,
  { chunk, question, maxTokens, signal, next, place }: Summarizing,
): Promise<{ text: string; promptTokens: number; completionTokens: number }> {
  const content = `${chunk.text}\n\nSummarize the text above in a few sentences, in its own language. Keep what bears on this question: ${question}`;
  const parts = next({
    ...request,
    id: `${request.id}/summary-${place}`,
    input: { kind: 'chat', messages: [{ role: 'user', content }] },
    choiceCount: 1,
    sampling: { temperature: 0 },
    maxTokens,
    stop: [],
    stream: false,
    topLogprobs: undefined,
    responseFormat: undefined,
    tools: undefined,
    toolChoice: undefined,
    parallelToolCalls: undefined,
    attention: undefined,
    client: undefined,
    body: undefined,
    signal,
    emit: tokensTo(request.emit, request.model),
  });
  let [text, promptTokens, completionTokens] = ['', 0, 0];
  for await (const part of parts) {
    if (part.type === 'text-delta') text += part.text;
    if (part.type === 'prompt-end' || part.type === 'usage') ({ promptTokens } = part);
    if (part.type === 'text-end' || part.type === 'usage') ({ completionTokens } = part);
  }
  return { text, promptTokens, completionTokens };
}

function checked(chunks: readonly Chunk[], { chunksMax }: DocumentParts): readonly Chunk[] {
  if (chunks.length > 0 && chunks.length <= chunksMax) return chunks;
  const reason =
    chunks.length === 0
      ? 'there is no text in them'
      : `they are ${chunks.length} pieces, and at most ${chunksMax} are read for one request`;
  throw new AutoglmError('invalid_value', `Invalid value for 'autoglm.documents.texts': ${reason}.`, { param: 'autoglm.documents.texts' });
}

/** Each document under its number and title, what was used of it in its order. */
function writeBlock({ texts: documents }: DocumentOptions, texts: Reading['texts']): string {
  const byDocument = new Map<number, string[]>();
  for (const { document, text } of texts) byDocument.set(document, [...(byDocument.get(document) ?? []), text.trim()]);
  const sections = [...byDocument].map(
    ([document, own]) => `[${document + 1}]${documents[document]?.title ? ` ${documents[document].title}` : ''}\n${own.join('\n')}`,
  );
  return `${sections.join('\n\n')}\n\n`;
}

/** A message with images keeps them. */
function withText(message: ChatMessage, block: string): ChatMessage {
  const written = message.wire?.['content'];
  if (!Array.isArray(written)) return withContent(message, block + message.content);
  return {
    ...message,
    content: block + message.content,
    wire: { ...message.wire, content: [{ type: 'text', text: block }, ...(written as unknown[])] },
  };
}
