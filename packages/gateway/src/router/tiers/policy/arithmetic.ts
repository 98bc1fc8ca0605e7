/** Longer texts are looked at so far, and so many equations of them; an expression has at most so many terms. */
const lengthMax = 32_768;
const equationsMax = 256;
const termsMax = 32;

/** The left side of an equals sign is looked for within so many characters before it. */
const leftMax = 160;
const leftCharacter = /[\d\s.,$%()+*/×÷x-]/;
/** `= $13.50`, and not `= 13 + …`, nor the beginning of a number that goes on. */
const rightSide = /=\s{0,8}\$?(-?\d[\d,]{0,24}(?:\.\d{1,24})?)(?![\d,.]{0,25}\d|\s{0,8}[*/×÷+]|[^\S\n]{0,8}[x-][^\S\n]{0,8}[\d(])/y;

export interface Arithmetic {
  /** Equations whose left side could be worked out. */
  readonly count: number;
  readonly wrong: number;
}

/** Works out the equations that a text claims, `3 * $4.50 = 13.5` or `<<3*4.50=13.5>>`: whoever gets one wrong has the rest wrong, too. */
export function checkArithmetic(text: string): Arithmetic {
  const end = Math.min(text.length, lengthMax);
  let count = 0;
  let wrong = 0;
  for (let at = text.indexOf('='); at !== -1 && at < end && count < equationsMax; at = text.indexOf('=', at + 1)) {
    rightSide.lastIndex = at;
    const right = rightSide.exec(text)?.[1];
    const value = right === undefined ? undefined : evaluate(leftOf(text, at));
    if (value === undefined) continue;
    count += 1;
    if (!isRounded(value, right as string)) wrong += 1;
  }
  return { count, wrong };
}

/** From the end of the words before, or of the sentence or the number before: `12 eggs, 5, 3 + 4` ends with `3 + 4`. */
function leftOf(text: string, at: number): string {
  let from = at;
  while (from > 0 && at - from < leftMax && leftCharacter.test(text[from - 1] as string)) from -= 1;
  const left = text.slice(from, at);
  return left.slice(left.search(/[.,]\s(?!.*[.,]\s)/s) + 1).replace(/^[^\d($-]+/, '');
}

/** `0.67` stands for two thirds, and `1` for no number that would be rounded to 2. */
function isRounded(value: number, written: string): boolean {
  const claimed = Number(written.replaceAll(',', ''));
  const decimals = written.split('.')[1]?.length ?? 0;
  return Math.abs(value - claimed) <= 10 ** -decimals * (decimals === 0 ? 0.01 : 1) + Math.abs(value) * 1e-9;
}

type Token = number | '+' | '-' | '*' | '/' | '(' | ')';

/** Undefined for what is no sum, product or quotient of at least two numbers. */
function evaluate(text: string): number | undefined {
  const tokens = tokenize(text);
  if (!tokens || tokens.filter((token) => typeof token === 'number').length < 2) return undefined;
  const reader = { tokens, at: 0 };
  const value = sum(reader, 0);
  return value !== undefined && reader.at === tokens.length && Number.isFinite(value) ? value : undefined;
}

const tokenPattern = /\s*(?:\$?(\d[\d,]*(?:\.\d+)?|\.\d+)(%)?|([-+*/()×÷x]))\s*/y;
const operators: Readonly<Record<string, Token>> = { '×': '*', x: '*', '÷': '/' };

function tokenize(text: string): Token[] | undefined {
  const tokens: Token[] = [];
  tokenPattern.lastIndex = 0;
  while (tokenPattern.lastIndex < text.length) {
    const match = tokenPattern.exec(text);
    if (!match || tokens.length >= termsMax * 2) return undefined;
    const [, number, percent, operator = ''] = match;
    if (number !== undefined) tokens.push(Number(number.replaceAll(',', '')) / (percent ? 100 : 1));
    else tokens.push(operators[operator] ?? (operator as Token));
  }
  return tokens;
}

interface Reader {
  readonly tokens: readonly Token[];
  at: number;
}

function sum(reader: Reader, depth: number): number | undefined {
  let value = product(reader, depth);
  for (let token = reader.tokens[reader.at]; value !== undefined && (token === '+' || token === '-'); token = reader.tokens[reader.at]) {
    reader.at += 1;
    const term = product(reader, depth);
    value = term === undefined ? undefined : token === '+' ? value + term : value - term;
  }
  return value;
}

function product(reader: Reader, depth: number): number | undefined {
  let value = factor(reader, depth);
  for (let token = reader.tokens[reader.at]; value !== undefined && (token === '*' || token === '/'); token = reader.tokens[reader.at]) {
    reader.at += 1;
    const next = factor(reader, depth);
    value = next === undefined ? undefined : token === '*' ? value * next : value / next;
  }
  return value;
}

function factor(reader: Reader, depth: number): number | undefined {
  const token = reader.tokens[reader.at];
  reader.at += 1;
  if (typeof token === 'number') return token;
  if (token === '-') {
    const value = depth < termsMax ? factor(reader, depth + 1) : undefined;
    return value === undefined ? undefined : -value;
  }
  if (token !== '(' || depth >= termsMax) return undefined;
  const value = sum(reader, depth + 1);
  if (reader.tokens[reader.at] !== ')') return undefined;
  reader.at += 1;
  return value;
}
