import type { StreamPart } from './parts.ts';
import type { GatewayRequest } from './request.ts';

export type Next = (request: GatewayRequest) => AsyncIterable<StreamPart>;

/**
 * One stage of the request path. It may answer itself, change the request on the way down, or transform the
 * parts on the way up; its `finally` releases what it holds. It knows no other stage.
 */
export type Stage = (request: GatewayRequest, next: Next) => AsyncIterable<StreamPart>;
