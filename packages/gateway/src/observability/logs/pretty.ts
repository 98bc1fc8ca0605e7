const colors: Readonly<Record<string, number>> = { info: 32, warn: 33, error: 31 };

/** Lines of JSON as people read them: time, level, message, then the fields as `name=value`. */
export function prettyLines(text: string, hasColors: boolean): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? '' : prettyLine(line, hasColors)))
    .join('\n');
}

function prettyLine(line: string, hasColors: boolean): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const paint = (code: number, shown: string) => (hasColors ? `\x1b[${code}m${shown}\x1b[0m` : shown);
  const shown = flatten(fields).map(([name, value]) => `${paint(2, `${name}=`)}${value}`);
  return [
    paint(2, String(time).slice(11, 23)),
    paint(colors[String(level)] ?? 0, String(level).padEnd(5)),
    printable(String(msg)),
    ...shown,
  ].join(' ');
}

function flatten(fields: Record<string, unknown>, prefix = ''): [name: string, value: string][] {
  return Object.entries(fields).flatMap(([name, value]): [string, string][] => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return flatten(value as Record<string, unknown>, `${prefix}${name}.`);
    return [
      [
        printable(prefix + name),
        typeof value === 'string' && /^[^\s"=]+$/.test(value) ? printable(value) : printable(JSON.stringify(value)),
      ],
    ];
  });
}

/** A client's text must not move the cursor. */
function printable(text: string): string {
  return text.replace(
    // oxlint-disable-next-line no-control-regex
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
