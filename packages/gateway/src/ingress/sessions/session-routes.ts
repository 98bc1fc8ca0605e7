import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { AutoglmError, type GatewayRequest, type StreamPart } from '@open-autoglm/protocol';
import { isMessagePack, readJson, type BodyReading } from '../body.ts';
import type { Generations } from '../generations.ts';
import type { FindResource, Resource, ResourceCall } from '../resource.ts';
import { sendAnswer } from '../send-answer.ts';
import { tenantOf } from '../tenant.ts';
import { checkWellFormed } from '../validate.ts';
import { AnswerTurn } from './answer-turn.ts';
import { revisionOf, toEtag } from './if-match.ts';
import { applyJsonPatch } from '../json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { bodyOfCompletion, checkSessionBody, encodeBody, readCompletion, withinStack } from './session-body.ts';
import { ifMatchMissing, sessionChanged, sessionNotFound } from './session-errors.ts';
import type { SessionRecord, SessionStore } from './session-store.ts';

export interface SessionParts {
  readonly store: SessionStore;
  readonly bodies: BodyReading;
  readonly sessionBytesMax: number;
  /** A name that no session ever had. */
  readonly newId: () => string;
}

const patchTypes = { jsonPatch: 'application/json-patch+json', mergePatch: 'application/merge-patch+json' } as const;
/** As many as a chat may have messages. */
const operationsMax = 10_000;

/**
 * Conversations whose context the server holds, so that a turn sends what is new only:
 *
 *   POST   /v1/sessions                    a chat body                     → 201 {"id"}, ETag
 *   GET    /v1/sessions/{id}               If-None-Match                   → 200 the body, ETag; 304
 *   PATCH  /v1/sessions/{id}               a JSON Patch or a merge patch   → 204, the new ETag; 412 where If-Match is not the session's
 *   DELETE /v1/sessions/{id}               If-Match, where it matters      → 204
 *   POST   /v1/sessions/{id}/completions   what a chat body may say beside its messages; If-Match, where it matters
 *            autoglm.append: true            the answer becomes a turn → its new ETag in the answer's autoglm.session
 *            autoglm.patch: […]              a JSON Patch first, as PATCH does it: a turn in one request; ETag: as it was asked
 *
 * Whoever changes a session says from which state: a patch that was lost or came late fails, and never makes another context.
 */
export function createSessionRoutes(parts: SessionParts): (generations: Generations) => FindResource {
  return (generations) => {
    const sessions = new SessionRoutes(parts, generations);
    return (path) => sessions.find(path);
  };
}

class SessionRoutes {
  readonly #parts: SessionParts;
  readonly #generations: Generations;
  readonly #collection: Resource = { methods: ['POST'], serve: (call) => this.#create(call) };

  constructor(parts: SessionParts, generations: Generations) {
    this.#parts = parts;
    this.#generations = generations;
  }

  find(path: string): Resource | undefined {
    if (path === '/v1/sessions') return this.#collection;
    const [, id, completions] = /^\/v1\/sessions\/([\w-]{1,64})(\/completions)?$/.exec(path) ?? [];
    if (id === undefined) return undefined;
    if (completions) return { methods: ['POST'], serve: (call) => this.#complete(call, id) };
    const byMethod: Readonly<Record<string, (call: ResourceCall) => Promise<void>>> = {
      GET: (call) => this.#read(call, id),
      PATCH: (call) => this.#patch(call, id),
      DELETE: (call) => this.#delete(call, id),
    };
    return { methods: Object.keys(byMethod), serve: (call) => (byMethod[call.message.method ?? ''] as (typeof byMethod)[string])(call) };
  }

  async #create({ message, response }: ResourceCall): Promise<void> {
    const { headers } = message;
    const value = await this.#readBody(message, response);
    const { autoglm } = Object(value) as { autoglm?: { tenant?: unknown } | null };
    const tenant = tenantOf(headers, typeof autoglm?.tenant === 'string' ? autoglm.tenant : undefined);
    await this.#generations.admitCall(message, tenant, response);
    this.#check(value, headers);
    const id = this.#parts.newId();
    const { revision } = await this.#parts.store.create(tenant, id, encodeBody(withoutTenant(value), this.#parts.sessionBytesMax));
    sendAnswer(response, 201, { id, object: 'session' }, { etag: toEtag(revision), location: `/v1/sessions/${id}` });
  }

  async #read({ message, response }: ResourceCall, id: string): Promise<void> {
    const known = revisionOf(message.headers, 'if-none-match');
    const record = await this.#require(await this.#admit(message, response), id);
    const etag = toEtag(record.revision);
    if (known === record.revision) response.writeHead(304, { etag }).end();
    else
      sendAnswer(
        response,
        200,
        { id, object: 'session', created: Math.floor(record.createdAtMs / 1000), body: JSON.parse(record.body) as unknown },
        { etag, 'cache-control': 'no-store' },
      );
  }

  async #delete({ message, response }: ResourceCall, id: string): Promise<void> {
    const revision = revisionOf(message.headers, 'if-match');
    if (revision === null) throw sessionChanged(id);
    const result = await this.#parts.store.remove(await this.#admit(message, response), id, revision);
    if (result === 'absent') throw sessionNotFound(id);
    if (result === 'changed') throw sessionChanged(id);
    response.writeHead(204).end();
  }

  async #patch({ message, response }: ResourceCall, id: string): Promise<void> {
    const { headers } = message;
    const applyPatch = this.#patchFor(headers, response);
    const expected = revisionOf(headers, 'if-match');
    if (expected === undefined) throw ifMatchMissing();
    const tenant = await this.#admit(message, response);
    const patch = await this.#readBody(message, response);
    const record = await this.#require(tenant, id);
    if (record.revision !== expected) throw sessionChanged(id);
    const { revision } = await this.#store(
      tenant,
      id,
      record,
      this.#changed(record, headers, (document) => applyPatch(document, patch)),
    );
    response.writeHead(204, { etag: toEtag(revision) }).end();
  }

  /** What `apply` makes of a session, as it would be stored. */
  #changed(record: SessionRecord, headers: IncomingHttpHeaders, apply: (document: unknown) => unknown): string {
    const changed = withinStack(() => apply(JSON.parse(record.body)));
    this.#check(changed, headers);
    return encodeBody(checkSessionBody(changed), this.#parts.sessionBytesMax);
  }

  /** The session with another body, unless it is another one by now. */
  async #store(tenant: string, id: string, record: SessionRecord, body: string): Promise<SessionRecord> {
    const replaced = await this.#parts.store.replace(tenant, id, record.revision, body);
    if (replaced.kind === 'absent') throw sessionNotFound(id);
    if (replaced.kind === 'changed') throw sessionChanged(id);
    return { ...record, body, revision: replaced.revision };
  }

  #patchFor(headers: IncomingHttpHeaders, response: ServerResponse): (document: unknown, patch: unknown) => unknown {
    const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
    if (type === patchTypes.mergePatch) return (document, patch) => applyMergePatch(document, patch);
    const applyOperations = (document: unknown, patch: unknown) => this.#applyOperations(document, patch);
    if (type === patchTypes.jsonPatch) return applyOperations;
    // MessagePack has no name of its own for patches; an array of operations is no merge patch that would leave a chat.
    if (isMessagePack(type))
      return (document, patch) => (Array.isArray(patch) ? applyOperations(document, patch) : applyMergePatch(document, patch));
    response.setHeader('accept-patch', Object.values(patchTypes).join(', '));
    throw new AutoglmError(
      'unsupported_media_type',
      `A patch must be ${Object.values(patchTypes).join(' or ')}, but its content-type is ${JSON.stringify(headers['content-type'] ?? '')}.`,
    );
  }

  #applyOperations(document: unknown, patch: unknown): unknown {
    return applyJsonPatch(document, patch, { operationsMax, copiedMax: this.#parts.sessionBytesMax });
  }

  async #complete({ message, response, requestId }: ResourceCall, id: string): Promise<void> {
    let turn: { readonly record: SessionRecord; readonly tenant: string; readonly append: boolean } | undefined;
    await this.#generations.serve({
      api: 'chat',
      message,
      response,
      requestId,
      read: async (signal) => {
        const { value, hasEscapes } = await readJson(message, this.#parts.bodies, signal);
        const expected = revisionOf(message.headers, 'if-match');
        const named = (Object(value) as { autoglm?: { tenant?: unknown } | null }).autoglm?.tenant;
        const tenant = tenantOf(message.headers, typeof named === 'string' ? named : undefined);
        const asked = readCompletion(value);
        const known = await this.#require(tenant, id);
        if (expected !== undefined && expected !== known.revision) throw sessionChanged(id);
        const { append, patch } = asked.options;
        if (patch !== undefined && expected === undefined) throw ifMatchMissing();
        if (patch !== undefined && hasEscapes) checkWellFormed(value);
        const session =
          patch === undefined ? known.body : this.#changed(known, message.headers, (document) => this.#applyOperations(document, patch));
        const body = bodyOfCompletion(JSON.parse(session) as Record<string, unknown>, asked);
        if (append && typeof body['n'] === 'number' && body['n'] > 1)
          throw new AutoglmError(
            'invalid_value',
            "Invalid value for 'autoglm.append': of several choices, none is the session's next turn.",
            { param: 'autoglm.append' },
          );
        // A turn that is refused, for what it says or because of who asks or how often, changes nothing: it can be put right, and sent
        // again.
        const onAdmitted = async () => {
          const record = patch === undefined ? known : await this.#store(tenant, id, known, session);
          response.setHeader('etag', toEtag(record.revision));
          turn = { record, tenant, append };
        };
        return { value: body, hasEscapes, onAdmitted };
      },
      through: (answer, request) => (turn?.append ? this.#appending(answer, request, id, turn) : answer),
    });
  }

  /** Before the answer's end goes to the client the turn is stored: so that the end can say what the session is now. */
  async *#appending(
    answer: AsyncIterable<StreamPart>,
    request: GatewayRequest,
    id: string,
    { tenant, record }: { readonly tenant: string; readonly record: SessionRecord },
  ): AsyncGenerator<StreamPart> {
    const turn = new AnswerTurn();
    for await (const part of answer) {
      turn.add(part);
      if (part.type === 'text-end')
        request.emit({ type: 'answer-note', name: 'session', value: await this.#append(turn, tenant, id, record) });
      yield part;
    }
  }

  /** What the client is told. The answer has been made and paid for: whatever happens to the session, it is given. */
  async #append(turn: AnswerTurn, tenant: string, id: string, { revision, body }: SessionRecord): Promise<object> {
    const message = turn.message();
    if (!message) return { id, appended: false, reason: 'empty_answer', etag: toEtag(revision) };
    const session = JSON.parse(body) as { messages: readonly unknown[] };
    try {
      const replaced = await this.#parts.store.replace(
        tenant,
        id,
        revision,
        encodeBody({ ...session, messages: [...session.messages, message] }, this.#parts.sessionBytesMax),
      );
      if (replaced.kind === 'replaced') return { id, appended: true, etag: toEtag(replaced.revision) };
      return { id, appended: false, reason: replaced.kind === 'absent' ? 'session_not_found' : 'precondition_failed' };
    } catch (error) {
      if (error instanceof AutoglmError) return { id, appended: false, reason: error.code, etag: toEtag(revision) };
      throw error;
    }
  }

  /** Counts a call that is no completion; says for whom it is. */
  async #admit(message: IncomingMessage, response: ServerResponse): Promise<string> {
    const tenant = tenantOf(message.headers, undefined);
    await this.#generations.admitCall(message, tenant, response);
    return tenant;
  }

  async #require(tenant: string, id: string): Promise<SessionRecord> {
    const record = await this.#parts.store.read(tenant, id);
    if (!record) throw sessionNotFound(id);
    return record;
  }

  /** Within the bound of requests in hand, as everything that is read. */
  async #readBody(message: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const { signal } = this.#generations.take(response).abort;
    const { value, hasEscapes } = await readJson(message, this.#parts.bodies, signal);
    if (hasEscapes) checkWellFormed(value);
    return value;
  }

  /** Throws what a chat with this body would be refused with. */
  #check(body: unknown, headers: IncomingHttpHeaders): void {
    withinStack(() => this.#generations.check('chat', body, headers));
  }
}

function withoutTenant(body: unknown): Readonly<Record<string, unknown>> {
  const { autoglm, ...rest } = body as { autoglm?: Readonly<Record<string, unknown>> | null };
  if (!autoglm) return rest;
  const { tenant: _named, ...extensions } = autoglm;
  return Object.keys(extensions).length > 0 ? { ...rest, autoglm: extensions } : rest;
}
