import { streamChat, type ChatTurn, type Sampling } from './chat-client.ts';
import { MessageView } from './message-view.ts';
import { SpeedMeter } from './speed.ts';

export interface ConversationOptions {
  /** Where messages go. */
  readonly log: HTMLElement;
  /** What scrolls. */
  readonly scroll: HTMLElement;
  readonly model: () => string;
  readonly settings: () => { readonly system: string; readonly sampling: Sampling };
  readonly onChange: (state: { readonly isRunning: boolean; readonly isEmpty: boolean }) => void;
  readonly onError: (error: unknown) => void;
}

/** Figures that change with every token cannot be read. */
const figuresIntervalMs = 150;
/** Closer to the end than this, the page follows the answer. */
const followDistancePx = 64;

/** What was said, on the page and as it is sent with the next question. One answer runs at a time. */
export class Conversation {
  readonly #options: ConversationOptions;
  #turns: ChatTurn[] = [];
  #running: AbortController | undefined;

  constructor(options: ConversationOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Asks, and shows the answer as it comes. Does nothing while another answer runs. */
  async ask(question: string): Promise<void> {
    if (this.#running) return;
    const running = new AbortController();
    this.#running = running;
    const [asked, answer] = [new MessageView('user'), new MessageView('assistant')];
    asked.append(question);
    this.#options.log.append(asked.element, answer.element);
    this.#options.scroll.scrollTop = this.#options.scroll.scrollHeight;
    this.#changed();
    const turns = this.#turns;
    turns.push({ role: 'user', content: question });
    answer.isRunning = true;
    try {
      const content = await this.#stream(turns, answer, running.signal);
      if (content === '') turns.pop();
      else turns.push({ role: 'assistant', content });
    } catch (error) {
      turns.pop();
      answer.showError(error, () => {
        if (this.#running) return;
        asked.element.remove();
        answer.element.remove();
        void this.ask(question);
      });
      this.#options.onError(error);
    } finally {
      answer.isRunning = false;
      // A cleared conversation may have begun another answer.
      if (this.#running === running) this.#running = undefined;
      this.#changed();
    }
  }

  /** What has come of the answer stays, and belongs to the conversation. */
  stop(): void {
    this.#running?.abort();
  }

  clear(): void {
    this.stop();
    this.#running = undefined;
    this.#turns = [];
    this.#options.log.replaceChildren();
    this.#changed();
  }

  /** Resolves to the text, also when it was stopped. */
  async #stream(turns: readonly ChatTurn[], view: MessageView, signal: AbortSignal): Promise<string> {
    const { system, sampling } = this.#options.settings();
    const sent = system === '' ? turns : [{ role: 'system', content: system } as const, ...turns];
    const meter = new SpeedMeter(performance.now());
    const painter = new Painter(view, meter, this.#options.scroll);
    let content = '';
    try {
      for await (const event of streamChat(this.#options.model(), sent, sampling, signal)) {
        if (event.type === 'text') {
          meter.text(performance.now());
          content += event.text;
          painter.add(event.text);
        } else if (event.type === 'summary') {
          meter.total(event.completionTokens);
          view.showSegments(event.segments);
        } else if (event.reason === 'length') {
          view.showNote('cutShort');
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error;
      view.showNote('stopped');
    } finally {
      painter.finish();
    }
    return content;
  }

  #changed(): void {
    this.#options.onChange({ isRunning: this.isRunning, isEmpty: this.#options.log.childElementCount === 0 });
  }
}

/** Brings text to the page once a frame: tokens may come faster than a screen can show them. */
class Painter {
  readonly #view: MessageView;
  readonly #meter: SpeedMeter;
  readonly #scroll: HTMLElement;
  #waiting = '';
  #frame: number | undefined;
  #figuresAt = 0;

  constructor(view: MessageView, meter: SpeedMeter, scroll: HTMLElement) {
    this.#view = view;
    this.#meter = meter;
    this.#scroll = scroll;
  }

  add(piece: string): void {
    this.#waiting += piece;
    this.#frame ??= requestAnimationFrame(() => this.#paint(false));
  }

  finish(): void {
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame);
    this.#paint(true);
  }

  #paint(isLast: boolean): void {
    this.#frame = undefined;
    const now = performance.now();
    const { scrollHeight, scrollTop, clientHeight } = this.#scroll;
    this.#view.append(this.#waiting);
    this.#waiting = '';
    if (isLast || now - this.#figuresAt >= figuresIntervalMs) {
      this.#view.showSpeed(this.#meter.speed);
      this.#figuresAt = now;
    }
    if (scrollHeight - scrollTop - clientHeight < followDistancePx) this.#scroll.scrollTop = this.#scroll.scrollHeight;
  }
}
