import { ChatError } from './chat-client.ts';
import { formatNumber, setText, translate, type TextKey } from './language.ts';
import { select } from './select.ts';
import type { Speed } from './speed.ts';

/** In the order of the request path; together they are the whole time. */
const segmentNames = ['prejudge', 'input', 'cache', 'queue', 'prefill', 'decode', 'upstream', 'other'] as const;

/** One message on the page. Whatever a model wrote is set as text, never as HTML. */
export class MessageView {
  readonly element: HTMLElement;
  readonly #text = document.createTextNode('');

  constructor(role: 'user' | 'assistant') {
    const template = select('#message-template', HTMLTemplateElement);
    const copy = template.content.cloneNode(true) as DocumentFragment;
    this.element = select('article', HTMLElement, copy);
    this.element.classList.add(role);
    this.element.setAttribute('data-label', role === 'user' ? 'you' : 'model');
    select('.text', HTMLElement, copy).append(this.#text);
    this.#prepareCopyButton();
    translate(copy);
  }

  append(piece: string): void {
    this.#text.appendData(piece);
  }

  /** Shows that more is to come. */
  set isRunning(isRunning: boolean) {
    this.element.classList.toggle('running', isRunning);
    this.element.setAttribute('aria-busy', String(isRunning));
  }

  showSpeed({ ttftMs, tokensPerSecond, tokenCount }: Speed): void {
    if (ttftMs === undefined) return;
    select('.about', HTMLElement, this.element).hidden = false;
    this.#figure('rate', tokensPerSecond === undefined ? '–' : formatNumber(tokensPerSecond, 1));
    this.#figure('ttft', `${formatNumber(ttftMs)} ms`);
    this.#figure('tokens', formatNumber(tokenCount));
  }

  /** A word on how the answer ended, where it is not as usual. */
  showNote(key: TextKey): void {
    const note = select('.note', HTMLElement, this.element);
    setText(note, key);
    note.hidden = false;
    select('.about', HTMLElement, this.element).hidden = false;
  }

  /** Where the server spent the time, in milliseconds by segment. */
  showSegments(segments: Readonly<Record<string, number>>): void {
    const known = segmentNames.flatMap((name) =>
      segments[`${name}_ms`] === undefined ? [] : [[name, segments[`${name}_ms`] as number] as const],
    );
    if (known.length === 0) return;
    const longest = Math.max(...known.map(([, durationMs]) => durationMs));
    const list = select('.segments', HTMLElement, this.element);
    list.replaceChildren(...known.map(([name, durationMs]) => segmentRow(name, durationMs, durationMs / longest)));
    const button = select('.why', HTMLButtonElement, this.element);
    button.hidden = false;
    button.addEventListener('click', () => {
      list.hidden = !list.hidden;
      button.setAttribute('aria-expanded', String(!list.hidden));
      list.scrollIntoView({ block: 'nearest' });
    });
  }

  showError(error: unknown, retry: () => void): void {
    const kind = error instanceof ChatError ? error.kind : 'broken';
    const detail = select('.error-detail', HTMLElement, this.element);
    setText(select('.error-title', HTMLElement, this.element), `${kind}Title`);
    if (kind === 'unreachable' || kind === 'lost' || kind === 'keyMissing' || kind === 'keyWrong') setText(detail, `${kind}Detail`);
    else detail.textContent = error instanceof Error ? error.message : String(error);
    select('.retry', HTMLElement, this.element).addEventListener('click', retry);
    select('.error', HTMLElement, this.element).hidden = false;
  }

  #figure(name: string, value: string): void {
    select(`[data-figure="${name}"]`, HTMLElement, this.element).textContent = value;
  }

  #prepareCopyButton(): void {
    const button = select('.copy', HTMLButtonElement, this.element);
    // Browsers give the clipboard only to secure pages: HTTPS, or this computer.
    button.hidden = !navigator.clipboard;
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(this.#text.data);
      setText(button, 'copied');
      button.addEventListener('pointerleave', () => setText(button, 'copy'), { once: true });
    });
  }
}

function segmentRow(name: (typeof segmentNames)[number], durationMs: number, fraction: number): HTMLElement {
  const row = document.createElement('li');
  const [label, bar, value] = [document.createElement('span'), document.createElement('span'), document.createElement('span')];
  setText(label, `segment_${name}`);
  bar.className = 'segment-bar';
  bar.style.setProperty('--fraction', String(fraction));
  value.className = 'segment-value';
  value.textContent = `${formatNumber(durationMs, 1)} ms`;
  row.append(label, bar, value);
  return row;
}
