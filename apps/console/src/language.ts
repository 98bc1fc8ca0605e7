import { recall, remember } from './memory.ts';

export type Language = 'en' | 'zh';

const en = {
  greeting: 'What would you like to know?',
  fromCode: 'The same model, from your code:',
  parameterCount: '{count} parameters',
  contextLength: '{count} tokens of context',
  promptPlaceholder: 'Write a message',
  promptLabel: 'Message',
  keys: 'Enter sends · Shift+Enter new line · Esc stops',
  send: 'Send',
  stop: 'Stop',
  clear: 'New chat',
  conversation: 'Conversation',
  you: 'You',
  model: 'Model',
  switchLanguage: '切换到中文',
  otherLanguage: '中文',
  settings: 'Settings',
  systemPrompt: 'System prompt',
  systemPlaceholder: 'What the model should know, or be',
  temperature: 'Temperature',
  maxTokens: 'Max tokens',
  noLimit: 'no limit',
  seed: 'Seed',
  random: 'random',
  apiKey: 'API key',
  apiKeyPlaceholder: 'if the server wants one',
  apiKeyForm: 'Letters, digits and signs, no spaces',
  resetSettings: 'Reset',
  speed: 'tokens/s',
  ttft: 'TTFT',
  tokens: 'tokens',
  why: 'where the time went',
  copy: 'Copy',
  copied: 'Copied',
  retry: 'Try again',
  stopped: 'stopped',
  cutShort: 'cut at max tokens',
  connecting: 'connecting…',
  loading: 'model is loading…',
  restarting: 'model is restarting…',
  draining: 'server is shutting down',
  failed: 'model cannot run',
  offline: 'server unreachable',
  keyMissing: 'API key needed',
  keyWrong: 'API key not known',
  refusedTitle: 'The server refused.',
  unreachableTitle: 'The server cannot be reached.',
  unreachableDetail: 'Is it running? Start it with “npm start”, then try again.',
  lostTitle: 'The connection was lost.',
  lostDetail: 'The answer is incomplete.',
  keyMissingTitle: 'The server wants an API key.',
  keyMissingDetail: 'Enter it under “Settings”, then try again.',
  keyWrongTitle: 'The server does not know this API key.',
  keyWrongDetail: 'Correct it under “Settings”, then try again.',
  brokenTitle: 'Something went wrong.',
  segment_prejudge: 'prejudge',
  segment_input: 'input',
  segment_cache: 'cache',
  segment_queue: 'queue',
  segment_prefill: 'prefill',
  segment_decode: 'decode',
  segment_upstream: 'upstream',
  segment_output: 'output',
  segment_other: 'other',
  live: 'Live',
  liveTitle: 'The server, over the last minute',
  liveRunning: 'under way, waiting',
  liveRunningValue: '{running}, {waiting}',
  liveRequests: 'requests/s',
  liveTokens: 'tokens written/s',
  livePromptTokens: 'prompt tokens/s',
  liveTtft: 'TTFT, p50 / p99',
  liveToken: 'per token, p50 / p99',
  liveKv: 'KV cache · prefix hits',
  liveCache: 'answer cache hits',
  liveMachine: 'cores · memory',
  liveSlow: 'What slows requests down',
  liveNothingSlow: 'nothing that is out of the usual',
  liveSeconds: '{seconds} s',
  liveOff: 'Metrics are switched off on this server (observability.metrics).',
};

export type TextKey = keyof typeof en;

const zh: Readonly<Record<TextKey, string>> = {
  greeting: '想聊点什么？',
  fromCode: '在代码里用同一个模型：',
  parameterCount: '{count}参数',
  contextLength: '上下文 {count} token',
  promptPlaceholder: '输入消息',
  promptLabel: '消息',
  keys: 'Enter 发送 · Shift+Enter 换行 · Esc 停止',
  send: '发送',
  stop: '停止',
  clear: '新对话',
  conversation: '对话',
  you: '你',
  model: '模型',
  switchLanguage: 'Switch to English',
  otherLanguage: 'English',
  settings: '设置',
  systemPrompt: '系统提示词',
  systemPlaceholder: '模型应当知道什么，扮演什么角色',
  temperature: '温度',
  maxTokens: '最大 token 数',
  noLimit: '不限',
  seed: '随机种子',
  random: '随机',
  apiKey: 'API 密钥',
  apiKeyPlaceholder: '服务需要时填写',
  apiKeyForm: '只能是字母、数字和符号，不含空格',
  resetSettings: '恢复默认',
  speed: 'token/秒',
  ttft: '首 token',
  tokens: 'token',
  why: '时间去向',
  copy: '复制',
  copied: '已复制',
  retry: '重试',
  stopped: '已停止',
  cutShort: '达到最大 token 数',
  connecting: '正在连接…',
  loading: '模型加载中…',
  restarting: '模型重启中…',
  draining: '服务正在关闭',
  failed: '模型无法运行',
  offline: '无法连接服务',
  keyMissing: '需要 API 密钥',
  keyWrong: 'API 密钥无效',
  refusedTitle: '服务拒绝了请求。',
  unreachableTitle: '无法连接服务。',
  unreachableDetail: '它在运行吗？用 npm start 启动后再试。',
  lostTitle: '连接中断。',
  lostDetail: '回答不完整。',
  keyMissingTitle: '服务需要 API 密钥。',
  keyMissingDetail: '请在“设置”中填写，然后重试。',
  keyWrongTitle: '服务不认识这个 API 密钥。',
  keyWrongDetail: '请在“设置”中更正，然后重试。',
  brokenTitle: '出错了。',
  segment_prejudge: '预判',
  segment_input: '输入',
  segment_cache: '缓存',
  segment_queue: '排队',
  segment_prefill: '预填充',
  segment_decode: '解码',
  segment_upstream: '上游',
  segment_output: '输出',
  segment_other: '其他',
  live: '实时',
  liveTitle: '服务最近一分钟',
  liveRunning: '处理中，等待中',
  liveRunningValue: '{running}，{waiting}',
  liveRequests: '请求/秒',
  liveTokens: '生成 token/秒',
  livePromptTokens: '提示 token/秒',
  liveTtft: '首 token，p50 / p99',
  liveToken: '每个 token，p50 / p99',
  liveKv: 'KV 缓存 · 前缀命中',
  liveCache: '回答缓存命中',
  liveMachine: '核数 · 内存',
  liveSlow: '什么拖慢了请求',
  liveNothingSlow: '没有异常',
  liveSeconds: '{seconds} 秒',
  liveOff: '此服务关闭了指标（observability.metrics）。',
};

const texts: Readonly<Record<Language, Readonly<Record<TextKey, string>>>> = { en, zh };
const storageKey = 'language';
const attributes = { 'data-label': 'aria-label', 'data-placeholder': 'placeholder', 'data-hint': 'title' } as const;

let current: Language = 'en';
const listeners: (() => void)[] = [];

/** The language chosen before, else the browser's. */
export function startLanguage(): void {
  const chosen = recall(storageKey);
  change(chosen === 'en' || chosen === 'zh' ? chosen : navigator.language.startsWith('zh') ? 'zh' : 'en');
}

export function switchLanguage(): void {
  const other = current === 'en' ? 'zh' : 'en';
  remember(storageKey, other);
  change(other);
}

/** For text that is made of values: called on every change, and for the first time at once. */
export function onLanguage(listener: () => void): void {
  listeners.push(listener);
  listener();
}

export function text(key: TextKey, values: Readonly<Record<string, string>> = {}): string {
  return texts[current][key].replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? '');
}

/** A number as this language writes it. */
export function formatNumber(value: number, fractionDigits = 0): string {
  return value.toLocaleString(current, { minimumFractionDigits: fractionDigits, maximumFractionDigits: fractionDigits });
}

/** A large number in a few characters: `25.8M`, `2580万`. */
export function formatCompact(value: number): string {
  return new Intl.NumberFormat(current, { notation: 'compact', maximumSignificantDigits: 3 }).format(value);
}

/** Gives an element a text that follows the language. */
export function setText(element: Element, key: TextKey | undefined): void {
  if (key === undefined) element.removeAttribute('data-text');
  else element.setAttribute('data-text', key);
  element.textContent = key === undefined ? '' : text(key);
}

/** Fills every element that names its text: `data-text`, `data-label`, `data-placeholder`, `data-hint`. */
export function translate(root: ParentNode): void {
  for (const element of root.querySelectorAll('[data-text]')) element.textContent = text(element.getAttribute('data-text') as TextKey);
  for (const [source, target] of Object.entries(attributes)) {
    for (const element of root.querySelectorAll(`[${source}]`)) element.setAttribute(target, text(element.getAttribute(source) as TextKey));
  }
}

function change(language: Language): void {
  current = language;
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  translate(document);
  for (const listener of listeners) listener();
}
