const prefix = 'autoglm.';

/** For how long: until the tab is closed, or for as long as the browser keeps it. */
type Span = 'tab' | 'browser';

/** What this browser remembers for the console; nothing where it does not allow that. */
export function recall(key: string, span: Span = 'browser'): string | undefined {
  try {
    return storageOf(span).getItem(prefix + key) ?? undefined;
  } catch {
    return undefined;
  }
}

export function remember(key: string, value: string, span: Span = 'browser'): void {
  try {
    storageOf(span).setItem(prefix + key, value);
  } catch {
    // Storage is full or not allowed: the page works, and forgets.
  }
}

function storageOf(span: Span): Storage {
  return span === 'tab' ? sessionStorage : localStorage;
}
