import { select } from './select.ts';

export interface Composer {
  /** While an answer runs, the button that sends is the one that stops. */
  setRunning(isRunning: boolean): void;
  focus(): void;
}

export interface ComposerOptions {
  readonly form: HTMLFormElement;
  /** Takes what was written; returns whether it did, so that the text may be forgotten. */
  readonly onSend: (text: string) => boolean;
  readonly onStop: () => void;
}

/** The place to write: it grows with its text, and Enter sends. */
export function createComposer({ form, onSend, onStop }: ComposerOptions): Composer {
  const prompt = select('#prompt', HTMLTextAreaElement, form);
  const send = select('#send', HTMLButtonElement, form);
  const stop = select('#stop', HTMLButtonElement, form);

  const fit = () => {
    prompt.style.height = 'auto';
    prompt.style.height = `${prompt.scrollHeight}px`;
    send.disabled = prompt.value.trim() === '';
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const text = prompt.value.trim();
    if (text === '' || !onSend(text)) return;
    prompt.value = '';
    fit();
    prompt.focus();
  });
  prompt.addEventListener('input', fit);
  prompt.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || isComposing(event)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  stop.addEventListener('click', () => {
    onStop();
    prompt.focus();
  });
  fit();
  return {
    setRunning(isRunning) {
      send.hidden = isRunning;
      stop.hidden = !isRunning;
    },
    focus: () => prompt.focus(),
  };
}

/**
 * Whether an input method is choosing characters: its Enter confirms them and must not send. Safari ends the
 * composition before that key event and marks it with 229 only.
 */
export function isComposing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === 229;
}
