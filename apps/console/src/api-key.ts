import { recall, remember } from './memory.ts';

const storageKey = 'api-key';

let key = recall(storageKey, 'tab') ?? '';

/** What shows the server the key that the person gave, where one was given. */
export function keyHeaders(): Readonly<Record<string, string>> {
  return key === '' ? {} : { authorization: `Bearer ${key}` };
}

/** Why the server let nobody in: it was shown no key, or one that it does not know. */
export type KeyProblem = 'keyMissing' | 'keyWrong';

/** What a 401 says of the request that these headers went out with. */
export function keyProblem(headers: Readonly<Record<string, string>>): KeyProblem {
  return headers['authorization'] === undefined ? 'keyMissing' : 'keyWrong';
}

export interface ApiKeyField {
  /** Shows the person where the key is to be written. */
  ask(): void;
}

/** The field for the key. It has no name: what is named in the settings is remembered by the browser beyond this tab. */
export function createApiKeyField(settings: HTMLFormElement, field: HTMLInputElement, onChange: () => void): ApiKeyField {
  field.value = key;
  const take = (): boolean => {
    field.value = field.value.trim();
    // A key that no header can hold stays where it is corrected.
    if (!field.reportValidity()) return false;
    if (field.value === key) return true;
    key = field.value;
    remember(storageKey, key, 'tab');
    onChange();
    return true;
  };
  field.addEventListener('change', take);
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter') return;
    event.preventDefault();
    if (take()) settings.hidePopover();
  });
  return {
    ask() {
      settings.togglePopover(true);
      field.focus();
    },
  };
}
