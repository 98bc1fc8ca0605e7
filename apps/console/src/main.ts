import { createApiKeyField, type KeyProblem } from './api-key.ts';
import { ChatError } from './chat-client.ts';
import { createComposer, isComposing } from './composer.ts';
import { Conversation } from './conversation.ts';
import { formatCompact, formatNumber, onLanguage, setText, startLanguage, switchLanguage, text, type TextKey } from './language.ts';
import { createLivePanel } from './live.ts';
import { askModel, watchReadiness, type ModelFacts, type Readiness } from './readiness.ts';
import { select } from './select.ts';
import { createSettings } from './settings.ts';

const byId = (id: string) => select(`#${id}`, HTMLElement);

const statusTexts: Readonly<Record<Readiness['state'] | KeyProblem, TextKey | undefined>> = {
  ready: undefined,
  connecting: 'connecting',
  starting: 'loading',
  restarting: 'restarting',
  failed: 'failed',
  draining: 'draining',
  closed: 'draining',
  offline: 'offline',
  keyMissing: 'keyMissing',
  keyWrong: 'keyWrong',
};

let model: ModelFacts | KeyProblem | undefined;

startLanguage();
byId('endpoint').textContent = `${location.origin}/v1`;
const settingsForm = select('#settings', HTMLFormElement);
const settings = createSettings(settingsForm);
const readiness = showReadiness();
const apiKey = createApiKeyField(settingsForm, select('#api-key', HTMLInputElement), readiness.askAgain);
const conversation = new Conversation({
  log: byId('conversation'),
  scroll: byId('scroll'),
  model: () => (typeof model === 'object' ? model.id : 'default'),
  settings: settings.read,
  onChange({ isRunning, isEmpty }) {
    composer.setRunning(isRunning);
    byId('welcome').hidden = !isEmpty;
    byId('clear').hidden = isEmpty;
  },
  onError(error) {
    readiness.checkNow();
    if (error instanceof ChatError && (error.kind === 'keyMissing' || error.kind === 'keyWrong')) apiKey.ask();
  },
});
const composer = createComposer({ form: select('#composer', HTMLFormElement), onSend: send, onStop: () => conversation.stop() });

createLivePanel(byId('live'));
byId('language').addEventListener('click', switchLanguage);
byId('clear').addEventListener('click', () => {
  conversation.clear();
  composer.focus();
});
byId('suggestions').addEventListener('click', ({ target }) => {
  if (target instanceof HTMLButtonElement && send(target.textContent)) composer.focus();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !isComposing(event) && !settingsForm.matches(':popover-open')) conversation.stop();
});

function send(question: string): boolean {
  if (conversation.isRunning || !settings.isValid()) return false;
  void conversation.ask(question);
  return true;
}

/** Keeps the line at the top and the model's facts true. */
function showReadiness(): { checkNow(): void; askAgain(): void } {
  let readiness: Readiness = { state: 'connecting', detail: '' };
  const show = () => {
    const isReady = readiness.state === 'ready';
    const state = isReady && typeof model === 'string' ? model : readiness.state;
    byId('status').dataset['state'] = state;
    setText(byId('status-name'), statusTexts[state]);
    byId('status-detail').textContent = isReady ? '' : readiness.detail;
    if (typeof model !== 'object') return;
    if (isReady) byId('status-name').textContent = model.source;
    byId('facts').textContent = describe(model);
  };
  onLanguage(show);
  const ask = async () => {
    model = await askModel();
    show();
    if (typeof model === 'string') apiKey.ask();
  };
  const { checkNow } = watchReadiness((found) => {
    readiness = found;
    show();
    if (found.state === 'ready') void ask();
  });
  return { checkNow, askAgain: () => void ask() };
}

function describe({ source, parameters, weightType, contextLength }: ModelFacts): string {
  const facts = [
    source,
    parameters !== undefined && text('parameterCount', { count: formatCompact(parameters) }),
    weightType,
    contextLength !== undefined && text('contextLength', { count: formatNumber(contextLength) }),
  ];
  return facts.filter(Boolean).join(' · ');
}
