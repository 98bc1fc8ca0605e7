/** What is to be done when everything ends. */
export interface Leaving {
  /** At once; nothing after it may happen. */
  readonly leave: () => void;
  readonly flush: () => Promise<void>;
}

interface Page {
  readonly document?: {
    readonly visibilityState: string;
    addEventListener(type: string, listener: () => void): void;
    removeEventListener(type: string, listener: () => void): void;
  };
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
  readonly process?: { once?(event: string, listener: () => void): void; off?(event: string, listener: () => void): void };
}

/**
 * Calls when the page is hidden or left, or the process has nothing else to do; returns what ends that. A phone ends hidden pages
 * without another word, so hiding is leaving. A process that is ended by a signal or by `process.exit` does not wait: call `close`
 * before.
 */
export function onExit({ leave, flush }: Leaving): () => void {
  const page = globalThis as unknown as Page;
  if (page.document && page.addEventListener) {
    const { document } = page;
    const onHidden = () => {
      if (document.visibilityState === 'hidden') leave();
    };
    page.addEventListener('pagehide', leave);
    document.addEventListener('visibilitychange', onHidden);
    return () => {
      page.removeEventListener?.('pagehide', leave);
      document.removeEventListener('visibilitychange', onHidden);
    };
  }
  const onIdle = () => void flush().catch(() => {});
  page.process?.once?.('beforeExit', onIdle);
  return () => page.process?.off?.('beforeExit', onIdle);
}
