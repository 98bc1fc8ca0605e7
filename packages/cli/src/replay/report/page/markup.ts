/** Text that is HTML already. Only `html` and `raw` make it, so whatever else comes into a page is escaped. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Value = string | number | Markup | undefined | false | readonly Value[];

/** A template of HTML: values are escaped unless they are markup; nothing is written for `undefined` and `false`. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Markup {
  return new Markup(parts.map((part, index) => part + (index < values.length ? toText(values[index]) : '')).join(''));
}

/** For what was written here, such as a style sheet; never for what came from elsewhere. */
export function raw(text: string): Markup {
  return new Markup(text);
}

/** Data that a program may read out of the page; a browser does nothing with it. `<` cannot end the element from within. */
export function jsonScript(id: string, value: unknown): Markup {
  return html`<script type="application/json" id="${id}">${raw(JSON.stringify(value).replaceAll('<', String.raw`\u003c`))}</script>`;
}

function toText(value: Value): string {
  if (value === undefined || value === false) return '';
  if (value instanceof Markup) return value.text;
  if (typeof value === 'object') return value.map(toText).join('');
  return escape(String(value));
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] as string);
}
