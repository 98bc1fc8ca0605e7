import type { ClassificationEngine } from './classification-engine.ts';
import type { EmbeddingEngine } from './embedding-engine.ts';
import type { EngineStats } from './engine-stats.ts';
import type { EngineStatus, PromptSegment } from './engine.ts';
import type { ModelInfo } from './model.ts';
import type { StreamPart } from './parts.ts';
import type { ChatMessage, GatewayRequest, Tool } from './request.ts';

interface ReplicaBase {
  /** Named in `x-autoglm-engine`. */
  readonly name: string;
  readonly status: EngineStatus;
  /**
   * Answers the whole request: every prompt, every choice. Nothing is asked of anybody before the first `next()`. Leaving the
   * iteration, or aborting `request.signal`, ends the work wherever it is done. Throws typed errors: before the first part
   * the request may be tried elsewhere, after it never.
   */
  answer(request: GatewayRequest): AsyncIterable<StreamPart>;
  /** Ends every running answer. Idempotent. */
  close(): Promise<void>;
}

/** Reads prompts, which the input stage renders with this model's chat template: the embedded engine, the mock. */
export interface PromptReplica extends ReplicaBase {
  readonly takes: 'prompts';
  /** As `Engine.ready`. */
  ready(signal?: AbortSignal): Promise<ModelInfo>;
  /** As `Engine.stats`. */
  readonly stats?: EngineStats | undefined;
  /** As `Engine.countTokens`. */
  countTokens(segments: readonly PromptSegment[], signal?: AbortSignal): Promise<readonly number[]>;
}

/** Another server's model, as far as it tells. */
export interface RemoteModel {
  /** Seconds since 1970. */
  readonly created: number | undefined;
  readonly ownedBy: string | undefined;
  readonly contextLength: number | undefined;
  /** The file or package that it came from, where the server is another gateway. */
  readonly source?: string | undefined;
}

/** How another server counts. Both reject as `answer` throws, and with `upstream_error` where the server cannot be asked. */
export interface RemoteTokens {
  /** Of each text by itself. */
  countTexts(texts: readonly string[], signal: AbortSignal): Promise<readonly number[]>;
  /** Of the whole prompt, as the server's template makes it; images left out. Undefined: the server counts texts only. */
  countChat(messages: readonly ChatMessage[], tools: readonly Tool[], signal: AbortSignal): Promise<number | undefined>;
}

/**
 * `silent`, again and again while it lasts: nothing at all is heard of the server, and whoever waits there waits in vain. One that
 * refuses is there, and may end what it has begun. `back`: a probe is answered after some that were not.
 */
export type ProbeNews = 'silent' | 'back';

/** Takes requests as the client wrote them and does the rest itself, chat template included: another server. */
export interface RequestReplica extends ReplicaBase {
  readonly takes: 'requests';
  /** Undefined until the server has told. */
  readonly model: RemoteModel | undefined;
  /** Of the same model; absent where the server cannot be asked for any. It is closed with the replica. */
  readonly embeddings?: EmbeddingEngine | undefined;
  /** By the same model; absent where the server cannot be asked for any. It is closed with the replica. */
  readonly classification?: ClassificationEngine | undefined;
  /** Absent where the server cannot be asked. */
  readonly tokens?: RemoteTokens | undefined;
  /** Whether the server was asked what it has, with whatever result. */
  readonly isKnown: boolean;
  /** Tells every change of the state from now on. */
  watch(listener: (status: EngineStatus) => void): void;
  /** Tells from now on what its probes say of the server. */
  watchProbes(listener: (news: ProbeNews) => void): void;
}

/**
 * The port that the router chooses among: whatever answers requests for one model. Its contract suite is
 * `@open-autoglm/protocol/contract`.
 */
export type Replica = PromptReplica | RequestReplica;
