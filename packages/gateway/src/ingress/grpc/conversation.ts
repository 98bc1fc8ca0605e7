import { AutoglmError, toAutoglmError, type TierClientMessage, type TierServerMessage, type TierState } from '@open-autoglm/protocol';
import { withLengthMax } from '../answer-length.ts';
import { HeldState } from './held-state.ts';

/** At which quality a decision is made. */
export interface Level {
  readonly name: string;
  /** Who decides, where it is not who decides for the others: a server that is reached from here. */
  readonly decide?: Decide | undefined;
  /** Undefined: the one that the state names. */
  readonly model: string | undefined;
  readonly maxTokens: number | undefined;
}

/** A decision that is complete. */
export interface Decided {
  readonly text: string;
  /** As POST /v1/chat/completions answers. */
  readonly answer: object;
  readonly tier: string | undefined;
  readonly engine: string | undefined;
}

/** Makes one decision about a body of a chat, and tells its text as it comes. Rejects with typed errors, or with the signal's reason. */
export type Decide = (
  body: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
  onText: (delta: string) => Promise<void> | void,
) => Promise<Decided>;

export interface ConversationParts {
  /** The quickest first. */
  readonly levels: readonly Level[];
  readonly stateBytesMax: number;
  readonly decide: Decide;
  /** Resolves when the client may be told more. */
  readonly send: (message: TierServerMessage) => Promise<void> | void;
}

/** A decision under way. */
interface Run {
  readonly level: Level;
  readonly rank: number;
  readonly stateVersion: number;
  readonly abort: AbortController;
  /** 0: nothing was said of it yet. */
  revision: number;
}

interface Final {
  readonly revision: number;
  readonly stateVersion: number;
  readonly text: string;
}

/**
 * One client's conversation: its state, and the decisions about it. Whatever arrives, the client is told no decision of an older state
 * once a newer one is there, and none of a lower level once a higher one has decided. At most one run of each level is under way.
 */
export class Conversation {
  readonly #parts: ConversationParts;
  readonly #state: HeldState;
  #levels: readonly Level[] | undefined;
  #runs: Run[] = [];
  #revision = 0;
  #final: Final | undefined;
  #isClosed = false;
  #onIdle: (() => void) | undefined;

  constructor(parts: ConversationParts) {
    this.#parts = parts;
    this.#state = new HeldState(parts.stateBytesMax);
  }

  /** Takes what the client says. Throws `invalid_value` where it does not keep to the protocol: the conversation is over then. */
  receive({ hello, state }: TierClientMessage): void {
    if (hello) this.#greet(hello.levels);
    else if (state) this.#take(state);
    else throw new AutoglmError('invalid_value', 'The message holds neither hello nor state.');
  }

  /** Resolves when every decision about the last state was made. */
  async idle(): Promise<void> {
    if (this.#runs.length > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
  }

  /** Ends what is under way; nothing is sent any more. Idempotent. */
  close(reason: AutoglmError): void {
    this.#isClosed = true;
    for (const { abort } of this.#runs) abort.abort(reason);
  }

  #greet(asked: readonly string[]): void {
    if (this.#levels) throw new AutoglmError('invalid_value', 'The client has said hello already.');
    const { levels, stateBytesMax } = this.#parts;
    const unknown = asked.find((name) => !levels.some((level) => level.name === name));
    if (unknown !== undefined) {
      throw new AutoglmError(
        'invalid_value',
        `There is no level ${JSON.stringify(unknown)}; there are ${levels.map(({ name }) => name).join(', ')}.`,
        { param: 'hello.levels' },
      );
    }
    this.#levels = asked.length === 0 ? levels : levels.filter(({ name }) => asked.includes(name));
    this.#send({ welcome: { levels: this.#levels.map(({ name, model = '' }) => ({ name, model })), stateBytesMax } });
  }

  #take(state: TierState): void {
    if (!this.#levels) throw new AutoglmError('invalid_value', 'The client has to say hello first.');
    const taken = this.#state.take(state);
    if ('resend' in taken) return this.#send(taken);
    if ('problem' in taken) return this.#send(taken);
    this.#retract((run) => run.stateVersion < state.version, 'the state has moved on');
    for (const [rank, level] of this.#levels.entries()) void this.#run(level, rank, state.version, taken.body);
  }

  async #run(level: Level, rank: number, stateVersion: number, body: Readonly<Record<string, unknown>>): Promise<void> {
    const run: Run = { level, rank, stateVersion, abort: new AbortController(), revision: 0 };
    this.#runs.push(run);
    try {
      const decided = await (level.decide ?? this.#parts.decide)(bodyAt(level, body), run.abort.signal, (delta) => this.#tell(run, delta));
      if (!run.abort.signal.aborted) this.#conclude(run, decided);
    } catch (thrown) {
      if (!run.abort.signal.aborted) this.#fail(run, thrown);
    } finally {
      this.#runs = this.#runs.filter((other) => other !== run);
      if (this.#runs.length === 0) this.#onIdle?.();
    }
  }

  #tell(run: Run, delta: string): Promise<void> | void {
    run.abort.signal.throwIfAborted();
    if (!this.#runs.includes(run)) return undefined;
    const waits = this.#parts.send({
      decision: { revision: this.#revisionOf(run), stateVersion: run.stateVersion, level: run.level.name, delta },
    });
    return waits && unlessAborted(waits, run.abort.signal);
  }

  #conclude(run: Run, { text, answer, tier, engine }: Decided): void {
    const { stateVersion, level, rank } = run;
    const before = this.#final;
    const revision = this.#revisionOf(run);
    this.#final = { revision, stateVersion, text };
    this.#send({
      decision: {
        revision,
        stateVersion,
        level: level.name,
        final: true,
        text,
        supersedes: before?.revision ?? 0,
        confirms: before !== undefined && before.stateVersion === stateVersion && before.text === text,
        answer: Buffer.from(JSON.stringify(answer)),
        tier: tier ?? '',
        engine: engine ?? '',
      },
    });
    this.#retract((other) => other !== run && other.rank < rank, 'a higher level has decided');
  }

  #fail(run: Run, thrown: unknown): void {
    const { code, message, param, retryable } = toAutoglmError(thrown);
    this.#send({
      problem: {
        stateVersion: run.stateVersion,
        level: run.level.name,
        code,
        message,
        ...(param !== undefined && { param }),
        retryable,
        revision: run.revision,
      },
    });
  }

  #retract(which: (run: Run) => boolean, reason: string): void {
    for (const run of this.#runs.filter(which)) {
      if (run.abort.signal.aborted) continue;
      run.abort.abort(new AutoglmError('client_closed_request', `The decision is not needed any more: ${reason}.`));
      if (run.revision > 0) this.#send({ retraction: { revision: run.revision, reason } });
    }
  }

  #revisionOf(run: Run): number {
    if (run.revision === 0) run.revision = this.#revision += 1;
    return run.revision;
  }

  /** What is said once for a state or a decision; only text that goes on waits for the client. */
  #send(message: TierServerMessage): void {
    if (!this.#isClosed) void this.#parts.send(message);
  }
}

/** Waits no longer than the run is wanted: a client that does not read would hold the places of runs that it has given up itself. */
async function unlessAborted(waits: Promise<void>, signal: AbortSignal): Promise<void> {
  const gone = Promise.withResolvers<void>();
  const onAbort = () => gone.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  await Promise.race([waits, gone.promise]);
  signal.removeEventListener('abort', onAbort);
  signal.throwIfAborted();
}

/** What the level is asked. Its parts are wanted as they come. */
function bodyAt({ model, maxTokens }: Level, body: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { stream_options: _, ...asked } = body;
  return { ...(maxTokens === undefined ? asked : withLengthMax(asked, maxTokens)), ...(model !== undefined && { model }), stream: true };
}
