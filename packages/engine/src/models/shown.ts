const charactersMax = 60;

/** A string of a file that somebody else made, for people: on one line, of bounded length, and without what a terminal would obey. */
export function shown(text: string): string {
  const clean = text.slice(0, charactersMax).replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\u{FFFD}');
  return text.length > charactersMax ? `${clean}…` : clean;
}
