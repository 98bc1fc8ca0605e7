export { createClient, type Client, type ClientOptions } from './client.ts';
export type { ChatStream } from './chat-stream.ts';
export { ApiError, ConnectionError } from './errors.ts';
export { diffJson, type Operation } from './json-diff.ts';
export type { Session, SessionAnswer, SessionBody } from './session.ts';
export { SseParser, type SseEvent } from './sse.ts';
export type { Tracker, TrackerOptions } from './tracker.ts';
export type * from './wire.ts';
