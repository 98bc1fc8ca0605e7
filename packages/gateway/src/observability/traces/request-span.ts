import { SpanKind, SpanStatusCode, type Attributes, type Context, type HrTime, type Span, type Tracer } from '@opentelemetry/api';
import type { GatewayEvent, Segment, TraceContext } from '@open-autoglm/protocol';
import type { RequestObserver } from '../observer.ts';
import type { RequestProfile } from '../profile/request-profile.ts';
import { attributesOf, contentAttributes } from './attributes.ts';
import { placeSegments, type SegmentFact } from './place-segments.ts';

export interface RequestSpanParts {
  readonly tracer: Tracer;
  /** Begun with the request, and recording. */
  readonly span: Span;
  /** With this span: the parent of what follows. */
  readonly context: Context;
  readonly traceContext: TraceContext;
  /** Its own: an observer sees events, not what others made of them. */
  readonly profile: RequestProfile;
  readonly toTime: (atMs: number) => HrTime;
  readonly isModel: (name: string) => boolean;
  /** Whether prompts and answers are recorded, where they are captured for anybody. */
  readonly hasContents: boolean;
}

/** Children of a request's span; a stage may report a hundred waits, and a hundred choices three segments each. */
const childrenMax = 64;

/** One sampled request: a server span with GenAI's attributes, and a child for each segment of its time. */
export class RequestSpan implements RequestObserver {
  readonly #parts: RequestSpanParts;
  readonly #facts: SegmentFact[] = [];
  #factsLeftOut = 0;

  constructor(parts: RequestSpanParts) {
    this.#parts = parts;
  }

  get traceContext(): TraceContext {
    return this.#parts.traceContext;
  }

  on(event: GatewayEvent, atMs: number): void {
    const { span, profile, toTime } = this.#parts;
    profile.on(event, atMs);
    switch (event.type) {
      case 'request-parsed':
        // The name is what traces are grouped by: of names that clients make up there is no end.
        if (this.#parts.isModel(event.model)) span.updateName(`${profile.start.operation} ${event.model}`);
        break;
      case 'segment-end':
        this.#note(event, atMs);
        break;
      case 'cache-lookup':
        span.addEvent('cache-lookup', known({ 'autoglm.cache.result': event.result, 'autoglm.reason': event.reason }), toTime(atMs));
        break;
      case 'prompt-shortened':
        span.addEvent(
          'prompt-shortened',
          {
            'autoglm.by': event.by,
            'autoglm.tokens_before': event.tokensBefore,
            'autoglm.tokens': event.tokens,
            'autoglm.reason': event.reason,
          },
          toTime(atMs),
        );
        break;
      case 'engine-chosen':
        span.addEvent(
          'engine-chosen',
          { 'autoglm.engine': event.engine, 'autoglm.tier': event.tier, 'autoglm.reason': event.reason },
          toTime(atMs),
        );
        break;
      case 'tier-passed':
        span.addEvent(
          'tier-passed',
          {
            'autoglm.tier': event.tier,
            'autoglm.reason': event.reason,
            'autoglm.detail': event.detail,
            'autoglm.duration_ms': event.durationMs,
          },
          toTime(atMs),
        );
        break;
      case 'first-token':
        span.addEvent('first-token', undefined, toTime(atMs));
        break;
      case 'content':
        if (this.#parts.hasContents) span.setAttributes(contentAttributes(event));
        break;
      case 'request-end':
        this.#end(event, atMs);
        break;
    }
  }

  #note({ segment, durationMs, reason, choice }: Extract<GatewayEvent, { type: 'segment-end' }>, endedAtMs: number): void {
    if (this.#facts.length < childrenMax) this.#facts.push({ segment, durationMs, endedAtMs, reason, choice });
    else this.#factsLeftOut += 1;
  }

  #end({ outcome, status, code }: Extract<GatewayEvent, { type: 'request-end' }>, atMs: number): void {
    const { span, profile, toTime } = this.#parts;
    for (const { fact, fromMs, toMs } of placeSegments(this.#facts, profile.start.startedAtMs)) this.#child(fact, fromMs, toMs);
    span.setAttributes(attributesOf(profile));
    if (this.#factsLeftOut > 0) span.setAttribute('autoglm.segments_left_out', this.#factsLeftOut);
    // A client's mistake is no error of the server's (semantic conventions of HTTP server spans).
    if (outcome === 'failed' && status >= 500) span.setStatus({ code: SpanStatusCode.ERROR, ...(code !== undefined && { message: code }) });
    span.end(toTime(atMs));
  }

  #child({ segment, reason, choice }: SegmentFact, fromMs: number, toMs: number): void {
    const { tracer, context, toTime } = this.#parts;
    const attributes = known({ 'autoglm.segment': segment, 'autoglm.reason': reason, 'autoglm.choice': choice });
    tracer.startSpan(segment, { kind: kindOf(segment), startTime: toTime(fromMs), attributes }, context).end(toTime(toMs));
  }
}

function kindOf(segment: Segment): SpanKind {
  return segment === 'upstream' ? SpanKind.CLIENT : SpanKind.INTERNAL;
}

function known(attributes: Record<string, string | number | undefined>): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
