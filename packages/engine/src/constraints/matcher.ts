import type { Members, Node, Sequence, Terminal } from './grammar.ts';
import { beforeMembers, colon, comma, MembersPlan, type MembersState } from './members.ts';

/**
 * What a text may go on with: a pushdown automaton over bytes that follows all ways in which the text can be read at once.
 * States are never changed, so a token can be tried, and a state kept for later, at no cost.
 */
export class State {
  /** Terminals that are being read, each with what waits for its end. */
  readonly frames: readonly Frame[];
  /** Whether the text may end here. */
  readonly canEnd: boolean;

  constructor(frames: readonly Frame[], canEnd: boolean) {
    this.frames = frames;
    this.canEnd = canEnd;
  }

  /** The state after one more byte; undefined where the grammar has no such text. */
  after(byte: number): State | undefined {
    const next = new Ways();
    let isSame = true;
    for (const frame of this.frames) {
      const terminal = frame.node as Terminal;
      const state = terminal.step(frame.state, byte);
      if (state === undefined) {
        isSame = false;
        continue;
      }
      isSame &&= state === frame.state;
      if (terminal.canGoOn(state)) next.add(state === frame.state ? frame : { node: terminal, state, below: frame.below });
      if (terminal.isComplete(state)) next.resume(frame.below, state);
    }
    // Inside a long text nothing changes, and what is known of the state stays known.
    if (isSame && next.frames.length === this.frames.length && next.canEnd === this.canEnd) return this;
    return next.frames.length > 0 || next.canEnd ? new State(next.frames, next.canEnd) : undefined;
  }
}

/** A node that has been begun, and what goes on when it has ended. */
interface Frame {
  readonly node: Node;
  /** A terminal's own; of the others how far they are. */
  readonly state: unknown;
  readonly below: Frame | undefined;
}

/**
 * Ways to read a text that are followed at once. More are dropped: the grammar is then narrower than it was written, and what it lets
 * through is still right.
 */
const waysMax = 128;

export function startOf(root: Node): State {
  const ways = new Ways();
  ways.enter(root, undefined);
  return new State(ways.frames, ways.canEnd);
}

/** Collects where a text can be, following nodes to the terminals that come next. */
class Ways {
  readonly frames: Frame[] = [];
  canEnd = false;

  add(frame: Frame): void {
    if (this.frames.length < waysMax) this.frames.push(frame);
  }

  enter(node: Node, below: Frame | undefined): void {
    if (this.frames.length >= waysMax) return;
    switch (node.kind) {
      case 'terminal':
        this.add({ node, state: node.start, below });
        if (node.isComplete(node.start)) this.resume(below, node.start);
        break;
      case 'sequence':
        this.#enterItem(node, 0, below);
        break;
      case 'choice':
        for (const option of node.options) this.enter(option, below);
        break;
      case 'repeat':
        if (node.min === 0) this.resume(below, undefined);
        if (node.max > 0) this.enter(node.item, { node, state: 1, below });
        break;
      case 'members':
        this.#goOnWithMembers(node, beforeMembers, below);
        break;
      case 'reference':
        this.enter(node.target as Node, below);
        break;
    }
  }

  /** Goes on after a node that has ended; `ended` is a terminal's last state. */
  resume(frame: Frame | undefined, ended: unknown): void {
    if (!frame) {
      this.canEnd = true;
      return;
    }
    const { node, below } = frame;
    if (node.kind === 'sequence') {
      this.#enterItem(node, frame.state as number, below);
    } else if (node.kind === 'repeat') {
      const count = frame.state as number;
      if (count >= node.min) this.resume(below, undefined);
      const counted = node.max === Infinity ? Math.min(count + 1, node.min + 1) : count + 1;
      if (count < node.max) this.enter(node.next, { node, state: counted, below });
    } else if (node.kind === 'members') {
      this.#resumeMembers(node, frame.state as MembersState, ended, below);
    }
  }

  /** The last item has nothing to wait for it, so that grammars that end in themselves do not pile up frames. */
  #enterItem(node: Sequence, index: number, below: Frame | undefined): void {
    const item = node.items[index] as Node;
    if (index === node.items.length - 1) this.enter(item, below);
    else this.enter(item, { node, state: index + 1, below });
  }

  #resumeMembers(node: Members, state: MembersState, ended: unknown, below: Frame | undefined): void {
    const plan = planOf(node);
    if (state.phase === 'start' || state.phase === 'member') return this.#goOnWithMembers(node, { ...state, phase: 'member' }, below);
    if (state.phase === 'key') {
      if (typeof ended !== 'string') return this.enter(plan.keyReader(state), { node, state, below });
      return this.enter(colon, { node, state: plan.afterKey(state, ended), below });
    }
    return this.enter(state.value as Node, { node, state: { ...state, phase: 'member', value: undefined }, below });
  }

  #goOnWithMembers(node: Members, state: MembersState, below: Frame | undefined): void {
    const plan = planOf(node);
    if (plan.canEnd(state)) this.resume(below, undefined);
    if (!plan.canHaveMore(state)) return;
    const next: MembersState = { ...state, phase: 'key' };
    if (state.count === 0) this.enter(plan.keyReader(next), { node, state: next, below });
    else this.enter(comma, { node, state: next, below });
  }
}

const plans = new WeakMap<Members, MembersPlan>();

function planOf(node: Members): MembersPlan {
  const plan = plans.get(node) ?? new MembersPlan(node);
  plans.set(node, plan);
  return plan;
}
