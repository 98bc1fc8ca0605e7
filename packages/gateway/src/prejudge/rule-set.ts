import type { ChatMessage, GatewayRequest } from '@open-autoglm/protocol';
import { Finder, type Found, type SearchedText } from './matching/finder.ts';
import { parseRules, type Role, type Rule, type RuleFile } from './rule-file.ts';
import { sampleRequest } from './sample-request.ts';
import { countScripts, shareOf } from './scripts.ts';

/** A rule that was met. */
export interface Met {
  readonly rule: Rule;
  /** The field at fault, as the client wrote it; undefined: the request as a whole. */
  readonly param: string | undefined;
}

export interface Judgement {
  /** In the order of the file. A rule that refuses or answers is the last, unless it is only watched. */
  readonly met: readonly Met[];
  /** Characters that were not looked through. */
  readonly unscanned: number;
}

const roleBits: Readonly<Record<Role, number>> = { system: 1, user: 2, assistant: 4, tool: 8, last: 16 };
const defaultRoles: readonly Role[] = ['user', 'tool'];
/** As the configuration has it when it does not say. */
export const defaultScanCharactersMax = 131_072;
/** Compiling goes on for so long before others get a turn; a single rule may take longer. */
const turnMs = 4;
/** Judgements that nobody asked for, before the first that somebody does: by then the functions that judge are machine code. */
const warmUps = 40;
const warmUpTexts = [
  'Please write a short summary of this report for me. '.repeat(60),
  '请帮我写一份 report 的简短摘要，明天上午之前。'.repeat(60),
];

/** Rules, compiled. Judging changes nothing and remembers nothing. */
export class RuleSet {
  readonly rules: readonly Rule[];
  /** Whether a rule asks if the same request is under way. */
  readonly needsDuplicates: boolean;
  readonly #finder: Finder;
  readonly #needsScripts: boolean;
  readonly #scanCharactersMax: number;

  private constructor(rules: readonly Rule[], finder: Finder, scanCharactersMax: number) {
    this.rules = rules;
    this.needsDuplicates = rules.some(({ duplicate }) => duplicate);
    this.#needsScripts = rules.some(({ script }) => script);
    this.#finder = finder;
    this.#scanCharactersMax = scanCharactersMax;
  }

  /** Rejects with `ConfigError`. */
  static async compile(path: string, yaml: string, scanCharactersMax: number): Promise<RuleSet> {
    return RuleSet.build(parseRules(path, yaml), scanCharactersMax);
  }

  /**
   * Compiles the rules of a file, a few at a time. Those that will judge are warmed, so that the first request waits for no compilation.
   * Rejects with `ConfigError`.
   */
  static async build({ rules, refuse }: RuleFile, scanCharactersMax: number, { isWarmed = true } = {}): Promise<RuleSet> {
    const turns = new Turns();
    const finder = new Finder();
    for (const [index, { find }] of rules.entries()) {
      if (find)
        finder.add({ rule: index, find, roleMask: maskOf(find.in ?? defaultRoles) }, (rule, key, reason) =>
          refuse(['rules', rule, ...key], reason),
        );
      if (turns.isOver) await turns.next();
    }
    for (const _ of finder.finish()) if (turns.isOver) await turns.next();
    const built = new RuleSet(rules, finder, scanCharactersMax);
    if (isWarmed) await built.#warmUp(turns);
    return built;
  }

  async #warmUp(turns: Turns): Promise<void> {
    const requests = warmUpTexts.map(sampleRequest);
    for (let round = 0; round < warmUps; round += 1) {
      for (const request of requests) this.judge(request, false);
      if (turns.isOver) await turns.next();
    }
  }

  /** `isDuplicate` is only read where a rule asks for it. */
  judge(request: GatewayRequest, isDuplicate: boolean): Judgement {
    const texts = textsOf(request);
    const { scanned, unscanned } = newestWithin(withDocuments(texts, request), this.#scanCharactersMax);
    const found: Found = new Int32Array(this.rules.length).fill(-1);
    for (const text of scanned) this.#finder.search(text, found);
    const scripts = this.#needsScripts
      ? countScripts(
          texts.filter(({ roleMask }) => (roleMask & roleBits.user) !== 0).map(({ text }) => text),
          this.#scanCharactersMax,
        )
      : undefined;
    const characters = texts.reduce((sum, { text }) => sum + text.length, 0);
    const met: Met[] = [];
    for (let index = 0; index < this.rules.length; index += 1) {
      const place = found[index] as number;
      const rule = this.rules[index] as Rule;
      // Most rules look for something, and most of it is not there.
      if (place === -1 && rule.find) continue;
      // What an answer or a label is for is the question, whatever is read for it.
      if (place >= texts.length && !rule.refuse) continue;
      const { larger_than: largerThan, script } = rule;
      if (rule.empty && !isEmpty(request, texts)) continue;
      if (largerThan && !(characters > (largerThan.characters ?? Infinity) || texts.length > (largerThan.messages ?? Infinity))) continue;
      if (script && scripts && shareOf(scripts, script.name) < script.share) continue;
      if (rule.duplicate && !isDuplicate) continue;
      if (rule.answer !== undefined && !suitsFixedText(request)) continue;
      met.push({ rule, param: place === -1 ? (rule.empty ? fieldOf(request) : undefined) : fieldOf(request, place) });
      if (!rule.label && !rule.watch) break;
    }
    return { met, unscanned };
  }
}

/** Long work, taken apart. */
class Turns {
  #endsAt = performance.now() + turnMs;

  get isOver(): boolean {
    return performance.now() >= this.#endsAt;
  }

  async next(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#endsAt = performance.now() + turnMs;
  }
}

function maskOf(roles: readonly Role[]): number {
  return roles.reduce((mask, role) => mask | roleBits[role], 0);
}

function textsOf({ input }: GatewayRequest): SearchedText[] {
  if (input.kind === 'completion')
    return input.prompts.map((prompt, index) => ({
      text: typeof prompt === 'string' ? prompt : '',
      roleMask: roleBits.user | roleBits.last,
      index,
    }));
  const last = input.messages.length - 1;
  return input.messages.map(({ role, content }, index) => ({
    text: content,
    roleMask: roleBits[role] | (index === last && role === 'user' ? roleBits.last : 0),
    index,
  }));
}

/**
 * Documents of the request will stand in its prompt. They come before its messages, which are looked through first where there is not room
 * for all.
 */
function withDocuments(messages: readonly SearchedText[], { documents }: GatewayRequest): readonly SearchedText[] {
  if (!documents) return messages;
  const read = documents.texts.flatMap(({ title = '', text }, index) =>
    [title, text].map((part) => ({ text: part, roleMask: roleBits.user | roleBits.tool, index: messages.length + index })),
  );
  return [...read, ...messages];
}

/** The newest texts, as many characters as may be; of the one that the bound falls into its beginning and its end. */
function newestWithin(
  texts: readonly SearchedText[],
  charactersMax: number,
): { readonly scanned: readonly SearchedText[]; readonly unscanned: number } {
  const scanned: SearchedText[] = [];
  let left = charactersMax;
  let unscanned = 0;
  for (const each of texts.toReversed()) {
    const { length } = each.text;
    if (length <= left) {
      scanned.push(each);
      left -= length;
      continue;
    }
    const half = left >>> 1;
    if (half > 0) scanned.push({ ...each, text: each.text.slice(0, half) }, { ...each, text: each.text.slice(length - half) });
    unscanned += length - 2 * half;
    left = 0;
  }
  // In order, so that the first message at fault is named, and a document only where no message is.
  return { scanned: scanned.toReversed().toSorted((a, b) => a.index - b.index), unscanned };
}

/** Whether no message has any text, nor anything that is not text: images, calls of tools, token ids. */
function isEmpty({ input }: GatewayRequest, texts: readonly SearchedText[]): boolean {
  if (!texts.every(({ text }) => text.trim() === '')) return false;
  if (input.kind === 'completion') return input.prompts.every((prompt) => typeof prompt === 'string' || prompt.length === 0);
  return !input.messages.some(saysMore);
}

function saysMore({ toolCalls, wire }: ChatMessage): boolean {
  const content = wire?.['content'];
  return (
    (toolCalls?.length ?? 0) > 0 ||
    (Array.isArray(wire?.['tool_calls']) && wire['tool_calls'].length > 0) ||
    (Array.isArray(content) && content.some((part: { type?: unknown } | null) => part?.type !== 'text'))
  );
}

/**
 * A client that asked for a form, for a call of a tool, for logprobs or for a map of attention is not served by a fixed text; nor are
 * several prompts by what answers one.
 */
function suitsFixedText({ input, responseFormat, toolChoice, topLogprobs, attention, body, stop }: GatewayRequest): boolean {
  if (attention || (input.kind === 'completion' && input.prompts.length > 1)) return false;
  const mustCall = toolChoice === 'required' || typeof toolChoice === 'object' || (body?.fields['tool_choice'] ?? 'auto') !== 'auto';
  const format = body?.fields['response_format'] as { type?: unknown } | null | undefined;
  const hasForm = responseFormat !== undefined || (format !== undefined && format !== null && format.type !== 'text');
  return !hasForm && !(mustCall && body?.fields['tool_choice'] !== 'none') && topLogprobs === undefined && stop.length === 0;
}

function fieldOf({ input }: GatewayRequest, index?: number): string {
  const { length } = input.kind === 'chat' ? input.messages : input.prompts;
  if (index !== undefined && index >= length) return `autoglm.documents.texts[${index - length}]`;
  if (input.kind === 'completion') return index === undefined || input.prompts.length === 1 ? 'prompt' : `prompt[${index}]`;
  return index === undefined ? 'messages' : `messages[${index}].content`;
}
