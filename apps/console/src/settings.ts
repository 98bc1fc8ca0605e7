import type { Sampling } from './chat-client.ts';
import { recall, remember } from './memory.ts';
import { select } from './select.ts';

export interface Settings {
  readonly system: string;
  readonly sampling: Sampling;
}

const storageKey = 'settings';

/** The form of settings: what it says is what is asked, and this browser remembers it. */
export function createSettings(form: HTMLFormElement): { read(): Settings; isValid(): boolean } {
  const defaults = new FormData(form);
  const fill = (values: Iterable<[string, unknown]>) => {
    for (const [name, value] of values) {
      const field = form.elements.namedItem(name);
      if (field && 'value' in field) field.value = String(value);
    }
    showRanges(form);
  };
  form.addEventListener('input', () => showRanges(form));
  form.addEventListener('change', () => remember(storageKey, JSON.stringify([...new FormData(form)])));
  select('#reset-settings', HTMLButtonElement, form).addEventListener('click', () => {
    fill(defaults);
    remember(storageKey, '[]');
  });
  fill(remembered());
  return {
    read: () => toSettings(new FormData(form)),
    /** Shows the person what is wrong, if something is. */
    isValid() {
      if (form.checkValidity()) return true;
      form.showPopover();
      form.reportValidity();
      return false;
    },
  };
}

function remembered(): [string, unknown][] {
  try {
    return JSON.parse(recall(storageKey) ?? '[]') as [string, unknown][];
  } catch {
    return [];
  }
}

function toSettings(data: FormData): Settings {
  const number = (name: string) => (data.get(name) === '' ? undefined : Number(data.get(name)));
  return {
    system: String(data.get('system')).trim(),
    sampling: {
      temperature: Number(data.get('temperature')),
      top_p: Number(data.get('top_p')),
      max_tokens: number('max_tokens'),
      seed: number('seed'),
    },
  };
}

function showRanges(form: HTMLFormElement): void {
  for (const output of form.querySelectorAll('output')) {
    const field = form.elements.namedItem(output.htmlFor.value);
    if (field instanceof HTMLInputElement) output.value = Number(field.value).toFixed(2);
  }
}
