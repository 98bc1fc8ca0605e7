import { html, raw, type Markup } from './markup.ts';
import type { Scale } from './scale.ts';

/** Drawn at about this size on a phone; it scales with the column. */
const width = 420;
const height = 240;
const edge = { left: 50, right: 12, top: 10, bottom: 26 };

export interface Axis {
  readonly scale: Scale;
  readonly format: (value: number) => string;
}

export type Mark =
  /** Joined points; a NaN breaks the line. */
  | { readonly kind: 'line'; readonly style: string; readonly points: readonly Point[] }
  | { readonly kind: 'dots'; readonly style: string; readonly points: readonly Point[] }
  /** From `base` to the point, as wide as `width` on the x axis. */
  | {
      readonly kind: 'bars';
      readonly style: string;
      readonly points: readonly (Point & { readonly base: number })[];
      readonly width: number;
    }
  /** Across the whole chart. */
  | { readonly kind: 'limit'; readonly y: number; readonly label: string };

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface LegendEntry {
  readonly style: string;
  readonly text: string;
}

export interface ChartOptions {
  readonly title: string;
  readonly titleZh: string;
  readonly x: Axis;
  readonly y: Axis;
  /** Drawn in this order. */
  readonly marks: readonly Mark[];
  readonly legend: readonly LegendEntry[];
}

/** A figure of one chart as SVG. Colours are classes of the style sheet, so that they follow light and dark. */
export function chart({ title, titleZh, x, y, marks, legend }: ChartOptions): Markup {
  return html`<figure>
<figcaption><b>${title}</b> <span lang="zh">${titleZh}</span><span class="legend">${legend.map(({ style, text }) => html`<span><svg viewBox="0 0 16 8" class="key"><path class="${style}" d="M1 4H15"/></svg>${text}</span>`)}</span></figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title}">${gridOf(x, y)}${marks.map((mark) => draw(mark, x.scale, y.scale))}</svg>
</figure>
`;
}

function gridOf(x: Axis, y: Axis): Markup {
  const bottom = height - edge.bottom;
  return html`<g class="grid">${y.scale.ticks.map((tick) => html`<path d="M${edge.left} ${placeY(y.scale, tick)}H${width - edge.right}"/><text x="${edge.left - 6}" y="${round(placeY(y.scale, tick) + 4)}" class="y">${y.format(tick)}</text>`)}${x.scale.ticks.map((tick) => html`<path d="M${placeX(x.scale, tick)} ${bottom}v4"/><text x="${placeX(x.scale, tick)}" y="${bottom + 17}" class="${x.scale.place(tick) > 0.96 ? 'x last' : 'x'}">${x.format(tick)}</text>`)}</g>`;
}

function draw(mark: Mark, x: Scale, y: Scale): Markup {
  if (mark.kind === 'limit') {
    const at = placeY(y, mark.y);
    return html`<path class="limit" d="M${edge.left} ${at}H${width - edge.right}"/><text class="limit-label" x="${width - edge.right}" y="${round(at < edge.top + 14 ? at + 13 : at - 4)}">${mark.label}</text>`;
  }
  if (mark.kind === 'bars') return bars(mark, x, y);
  const path = mark.kind === 'dots' ? dotPath(mark.points, x, y) : linePath(mark.points, x, y);
  return html`<path class="${mark.style} ${mark.kind}" d="${path}"/>`;
}

/** Round caps make a dot of a line without length: all dots are one element. */
function dotPath(points: readonly Point[], x: Scale, y: Scale): string {
  return points.map((point) => `M${placeX(x, point.x)} ${placeY(y, point.y)}h0`).join('');
}

function linePath(points: readonly Point[], x: Scale, y: Scale): string {
  let isBroken = true;
  const steps = points.map((point) => {
    if (Number.isNaN(point.y)) {
      isBroken = true;
      return '';
    }
    const step = `${isBroken ? 'M' : 'L'}${placeX(x, point.x)} ${placeY(y, point.y)}`;
    // A point between two gaps would not be seen without a length.
    const text = isBroken ? `${step}h0.1` : step;
    isBroken = false;
    return text;
  });
  return steps.join('');
}

function bars({ style, points, width: barWidth }: Extract<Mark, { kind: 'bars' }>, x: Scale, y: Scale): Markup {
  const rectangles = points.map(
    ({ x: left, y: top, base }) =>
      `M${placeX(x, left)} ${placeY(y, base)}V${placeY(y, top)}H${Math.max(placeX(x, left) + 1, placeX(x, left + barWidth) - 0.5)}V${placeY(y, base)}z`,
  );
  return html`<path class="${style} bars" d="${raw(rectangles.join(''))}"/>`;
}

function placeX(scale: Scale, value: number): number {
  return round(edge.left + scale.place(value) * (width - edge.left - edge.right));
}

function placeY(scale: Scale, value: number): number {
  return round(height - edge.bottom - scale.place(value) * (height - edge.top - edge.bottom));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
