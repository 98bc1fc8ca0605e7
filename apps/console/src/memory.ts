const prefix = 'autoglm.';

/** What this browser remembers for the console; nothing where it does not allow that. */
export function recall(key: string): string | undefined {
  try {
    return localStorage.getItem(prefix + key) ?? undefined;
  } catch {
    return undefined;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(prefix + key, value);
  } catch {
    // Storage is full or not allowed: the page works, and forgets.
  }
}
