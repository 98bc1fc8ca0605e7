import { formatNumber, onLanguage, setText, text, type TextKey } from './language.ts';
import { figuresOf, windowMs, withReading, type LiveFigures, type Quantiles, type TimedReading } from './live-figures.ts';
import { readMetrics } from './metrics-text.ts';
import { select } from './select.ts';

const intervalMs = 2000;
/** The first rates are told soon. */
const firstIntervalMs = 500;
const answerTimeoutMs = 5000;
/** Points of a line. */
const readingsMax = windowMs / intervalMs + 1;
const slowdownsMax = 3;

interface Tile {
  readonly label: TextKey;
  readonly value: (figures: LiveFigures) => string;
  /** Drawn over time; undefined: there is none at this moment. */
  readonly height: (figures: LiveFigures) => number | undefined;
}

const tiles: readonly Tile[] = [
  {
    label: 'liveRunning',
    value: ({ running, waiting }) => text('liveRunningValue', { running: formatNumber(running), waiting: formatNumber(waiting) }),
    height: ({ running }) => running,
  },
  {
    label: 'liveRequests',
    value: ({ requestsPerSecond }) => numberOf(requestsPerSecond),
    height: ({ requestsPerSecond }) => requestsPerSecond,
  },
  { label: 'liveTokens', value: ({ tokensPerSecond }) => numberOf(tokensPerSecond), height: ({ tokensPerSecond }) => tokensPerSecond },
  {
    label: 'livePromptTokens',
    value: ({ promptTokensPerSecond }) => numberOf(promptTokensPerSecond),
    height: ({ promptTokensPerSecond }) => promptTokensPerSecond,
  },
  { label: 'liveTtft', value: ({ ttftMs }) => quantiles(ttftMs), height: ({ ttftMs }) => ttftMs?.p50 },
  { label: 'liveToken', value: ({ tokenMs }) => quantiles(tokenMs), height: ({ tokenMs }) => tokenMs?.p50 },
  { label: 'liveKv', value: ({ kvUse, prefixHits }) => `${percent(kvUse)} · ${percent(prefixHits)}`, height: ({ kvUse }) => kvUse },
  { label: 'liveCache', value: ({ cacheHits }) => percent(cacheHits), height: ({ cacheHits }) => cacheHits },
  {
    label: 'liveMachine',
    value: ({ cores, memoryBytes }) => `${numberOf(cores)} · ${formatNumber(memoryBytes / 1e6)} MB`,
    height: ({ cores }) => cores,
  },
];

/** How the server does at this moment, from `/metrics`: asked for only while the panel is open and the page is seen. */
export function createLivePanel(panel: HTMLElement): void {
  const list = select('.live-tiles', HTMLElement, panel);
  const slow = select('.live-slow', HTMLElement, panel);
  const problem = select('.live-problem', HTMLElement, panel);
  const views = tiles.map(tileView);
  list.replaceChildren(...views.map(({ element }) => element));
  let readings: readonly TimedReading[] = [];
  let history: LiveFigures[] = [];
  let timer: number | undefined;
  let isOpen = false;

  const show = () => {
    const figures = history.at(-1);
    if (!figures) return;
    for (const [index, view] of views.entries()) view.show(figures, history.map((tiles[index] as Tile).height));
    showSlowdowns(slow, figures);
  };
  const look = async () => {
    clearTimeout(timer);
    if (!isOpen || document.hidden) return;
    const found = await askMetrics();
    if (!isOpen) return;
    setText(problem, typeof found === 'string' ? found : undefined);
    problem.hidden = typeof found === 'object';
    if (typeof found === 'object') {
      readings = withReading(readings, found).slice(-readingsMax);
      history = [...history, figuresOf(readings)].slice(-readings.length);
      show();
    }
    timer = setTimeout(look, readings.length < 2 ? firstIntervalMs : intervalMs);
  };

  panel.addEventListener('toggle', (event) => {
    isOpen = (event as ToggleEvent).newState === 'open';
    // What lies between would be told as a rate of now.
    readings = [];
    history = [];
    if (isOpen) void look();
    else clearTimeout(timer);
  });
  document.addEventListener('visibilitychange', () => void look());
  onLanguage(show);
}

async function askMetrics(): Promise<TimedReading | 'liveOff' | 'offline'> {
  try {
    const response = await fetch('/metrics', { signal: AbortSignal.timeout(answerTimeoutMs) });
    if (response.status === 404) return 'liveOff';
    if (!response.ok) return 'offline';
    return { atMs: performance.now(), reading: readMetrics(await response.text()) };
  } catch {
    return 'offline';
  }
}

function tileView({ label, value }: Tile) {
  const element = document.createElement('div');
  const [name, figure] = [document.createElement('dt'), document.createElement('dd')];
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
  setText(name, label);
  figure.textContent = '–';
  svg.setAttribute('viewBox', '0 0 100 20');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(line);
  element.append(name, figure, svg);
  return {
    element,
    show(figures: LiveFigures, heights: readonly (number | undefined)[]) {
      figure.textContent = value(figures);
      line.setAttribute('points', pointsOf(heights));
    },
  };
}

/** The newest at the right, the greatest at the top. */
function pointsOf(heights: readonly (number | undefined)[]): string {
  const greatest = Math.max(...heights.map((height) => height ?? 0));
  const right = (index: number) => 100 - ((heights.length - 1 - index) * 100) / (readingsMax - 1);
  return heights
    .map((height = 0, index) => `${right(index).toFixed(1)},${(19 - (greatest > 0 ? (18 * height) / greatest : 0)).toFixed(1)}`)
    .join(' ');
}

function showSlowdowns(list: HTMLElement, { slowdowns }: LiveFigures): void {
  const rows = slowdowns.slice(0, slowdownsMax).map(({ segment, detail, seconds }) => {
    const row = document.createElement('li');
    const [what, value] = [document.createElement('span'), document.createElement('span')];
    what.textContent = `${text(`segment_${segment}` as TextKey)} · ${detail}`;
    value.textContent = text('liveSeconds', { seconds: formatNumber(seconds, 1) });
    row.append(what, value);
    return row;
  });
  if (rows.length === 0) {
    const row = document.createElement('li');
    setText(row, 'liveNothingSlow');
    rows.push(row);
  }
  list.replaceChildren(...rows);
}

function numberOf(value: number | undefined): string {
  return value === undefined ? '–' : formatNumber(value, value < 10 ? 1 : 0);
}

function percent(value: number | undefined): string {
  return value === undefined ? '–' : `${formatNumber(value * 100)} %`;
}

function quantiles(found: Quantiles | undefined): string {
  return found ? `${numberOf(found.p50)} / ${numberOf(found.p99)} ms` : '–';
}
