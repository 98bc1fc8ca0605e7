import { AutoglmError, type ChatMessage } from '@open-autoglm/protocol';
import { assemble, divide, type Conversation } from './conversation.ts';
import { judge, type Judgement } from './judge.ts';
import { select } from './select.ts';

/** What a conversation is fitted by. */
export interface FitTask {
  readonly messages: readonly ChatMessage[];
  /** Tokens that the prompt may have at most. */
  readonly budget: number;
  readonly recentTurns: number;
  /** The tokens of the prompt that these messages become, all that the model adds included. */
  readonly countPrompt: (messages: readonly ChatMessage[]) => Promise<number>;
  /** The tokens of each text by itself. */
  readonly countTexts: (texts: readonly string[]) => Promise<readonly number[]>;
  /** Those of what a message has beside its text. */
  readonly countImages: (message: ChatMessage) => number;
  readonly signal: AbortSignal;
  /** The request's field, for errors. */
  readonly param: string;
}

export interface Fitted {
  readonly messages: readonly ChatMessage[];
  readonly tokensBefore: number;
  readonly tokens: number;
  /** What of which message was left out; those of which nothing was are not among them. */
  readonly leftOut: readonly LeftOut[];
}

export interface LeftOut {
  /** Its place in what the client sent. */
  readonly message: number;
  readonly role: ChatMessage['role'];
  readonly tokens: number;
  /** Pieces of its text; `all`: the message with everything in it. */
  readonly pieces: number | 'all';
}

/** Characters that are looked at: beyond them judging would take longer than a request may. */
const charactersMax = 4 * 1024 * 1024;
const unitsMax = 50_000;
/** Selections that are counted in full before the least of all is tried, and what may stay unused without another. */
const roundsMax = 8;
const unusedShare = 0.02;
/** Counting pieces apart errs a little at every border. */
const slack = 4;
/** Work at a stretch, in milliseconds, before everybody else has a turn. */
const stretchMs = 5;

/**
 * Leaves out of a conversation what it can best do without until its prompt fits; undefined where it fits as it is. Rejects with
 * `context_length_exceeded` where what must stay is too long, or with the signal's reason.
 */
export async function fit(task: FitTask): Promise<Fitted | undefined> {
  const { messages, budget, countPrompt, countTexts, signal } = task;
  const tokensBefore = await countPrompt(messages);
  if (tokensBefore <= budget) return undefined;
  const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
  if (characters > charactersMax)
    throw tooLong(
      task,
      `The prompt has ${tokensBefore} tokens in ${characters} characters; only prompts of up to ${charactersMax} characters are fitted`,
    );
  const conversation = divide(messages);
  if (conversation.units.length > unitsMax)
    throw tooLong(
      task,
      `The prompt has ${tokensBefore} tokens in ${conversation.units.length} pieces; only prompts of up to ${unitsMax} pieces are fitted`,
    );
  const texts = await countTexts(conversation.units.map(({ text }) => text));
  const tokens = conversation.units.map(({ messages: places }, unit) =>
    places.reduce((sum, place) => sum + task.countImages(messages[place] as ChatMessage), texts[unit] ?? 0),
  );
  signal.throwIfAborted();
  const judgements = await inStretches(
    judge(conversation, { recentTurns: task.recentTurns, isLastTooLong: isLastTooLong(conversation, tokens, budget) }),
    signal,
  );
  const found = await search(task, conversation, judgements, tokens, tokensBefore);
  return { ...found, tokensBefore, leftOut: leftOutOf(conversation, found.kept, tokens) };
}

interface Found {
  readonly messages: readonly ChatMessage[];
  readonly tokens: number;
  readonly kept: ReadonlySet<number>;
}

/** Selects by the pieces' own counts, counts what that makes as a prompt, and aims lower or higher by what it was off. */
async function search(
  task: FitTask,
  conversation: Conversation,
  judgements: readonly Judgement[],
  tokens: readonly number[],
  tokensBefore: number,
): Promise<Found> {
  const { budget, countPrompt, signal } = task;
  const costs = withTemplate(conversation, tokens, tokensBefore);
  const attempt = async (aim: number): Promise<Found> => {
    const kept = select(judgements, costs, aim);
    const messages = assemble(conversation, (unit) => kept.has(unit));
    signal.throwIfAborted();
    return { messages, kept, tokens: await countPrompt(messages) };
  };
  let [aim, fits, exceeds] = [budget, -Infinity, Infinity];
  let best: Found | undefined;
  for (let round = 0; round < roundsMax; round += 1) {
    const found = await attempt(aim);
    const left = budget - found.tokens;
    if (left >= 0 && found.tokens > (best?.tokens ?? -1)) best = found;
    if (left >= 0 && left <= budget * unusedShare) break;
    if (left >= 0) fits = Math.max(fits, aim);
    else exceeds = Math.min(exceeds, aim);
    const next = left >= 0 ? aim + left : aim + left - slack;
    aim = next > fits && next < exceeds ? next : (fits + exceeds) / 2;
    // All of it went in, or nothing but what must stay.
    if (!Number.isFinite(aim)) break;
  }
  if (best) return best;
  const least = await attempt(0);
  if (least.tokens <= budget) return least;
  throw tooLong(
    task,
    `The prompt has ${tokensBefore} tokens and may have ${budget}; what stays in any case, the instructions and the last turn, has ${least.tokens}`,
  );
}

/** What each unit takes of the prompt: its tokens, and its share of what the template puts around messages. */
function withTemplate({ messages, units }: Conversation, tokens: readonly number[], tokensBefore: number): number[] {
  const around = Math.max(0, tokensBefore - tokens.reduce((sum, count) => sum + count, 0)) / messages.length;
  const unitsOf = new Map<number, number>();
  for (const unit of units) for (const place of unit.messages) unitsOf.set(place, (unitsOf.get(place) ?? 0) + 1);
  return units.map((unit, index) => unit.messages.reduce((sum, place) => sum + around / (unitsOf.get(place) ?? 1), tokens[index] ?? 0));
}

function tooLong({ param }: FitTask, reason: string): AutoglmError {
  return new AutoglmError('context_length_exceeded', `${reason}.`, { param });
}

/** A last turn that alone takes more than half of the room would leave none to anything else. */
function isLastTooLong({ messages, units }: Conversation, tokens: readonly number[], budget: number): boolean {
  const lastUser = messages.findLastIndex(({ role }) => role === 'user');
  const own = units.reduce((sum, unit, index) => sum + (unit.piece && unit.messages[0] === lastUser ? (tokens[index] ?? 0) : 0), 0);
  return own > budget / 2;
}

function leftOutOf({ messages, units }: Conversation, kept: ReadonlySet<number>, tokens: readonly number[]): LeftOut[] {
  const byMessage = new Map<number, { tokens: number; pieces: number; isWhole: boolean }>();
  const keptMessages = new Set(units.flatMap((unit, index) => (kept.has(index) ? unit.messages : [])));
  for (const [index, unit] of units.entries()) {
    if (kept.has(index)) continue;
    for (const [position, place] of unit.messages.entries()) {
      const sum = byMessage.get(place) ?? { tokens: 0, pieces: 0, isWhole: !keptMessages.has(place) };
      // A call and its answers are counted together, at the call.
      byMessage.set(place, { ...sum, tokens: sum.tokens + (position === 0 ? (tokens[index] ?? 0) : 0), pieces: sum.pieces + 1 });
    }
  }
  return [...byMessage]
    .sort(([a], [b]) => a - b)
    .map(([message, { tokens: count, pieces, isWhole }]) => ({
      message,
      role: (messages[message] as ChatMessage).role,
      tokens: count,
      pieces: isWhole ? 'all' : pieces,
    }));
}

/** Runs to the end, and lets the event loop turn between stretches. Rejects with the signal's reason. */
async function inStretches<T>(work: Generator<void, T>, signal: AbortSignal, now: () => number = () => performance.now()): Promise<T> {
  let since = now();
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    if (now() - since < stretchMs) continue;
    await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
    since = now();
  }
}
