const vowel = /[aeiouy]/;
const set = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/).filter(Boolean));

/** Words that say how something is asked, and not about what. */
export const functionWords = set(`
  a an the this that these those some any one ones there
  is am are be been being was were do does did doing done has have had having
  can could may might shall should will would must ought
  i me my mine myself you your yours yourself we us our ours he him his she her hers they them their theirs it its itself someone somebody anyone anybody
  what which who whom whose when where why how
  in on at of for to with by about as into onto upon regarding using via
  please kindly really actually exactly quite very ever if then
`);

/** They say nothing at all. */
export const articles = set('a an the some any please kindly really actually exactly');

/** They point at what the question does not hold. */
export const pointers = set('this that these those');

/** They join equals: what stands on both sides may change places. */
export const joints = set('and or & vs versus');

/** Prepositions that mean something at the end: what is it, what is it for. */
export const prepositions = set('in on at of for to with by about as into onto through from after before over under off out up down');

export const negations = set(
  "not no never none nothing nobody nowhere neither nor cannot without n't non except unless lack lacking lacks avoid stop prevent",
);

/** Forms that no ending explains. */
const irregularForms = Object.fromEntries(
  `went:go gone:go goes:go made:make making:make bought:buy brought:bring thought:think taught:teach caught:catch sought:seek fought:fight got:get gotten:get gave:give given:give
   took:take taken:take wrote:write written:write spoke:speak spoken:speak broke:break broken:break chose:choose chosen:choose drove:drive driven:drive ate:eat eaten:eat fell:fall fallen:fall
   knew:know known:know grew:grow grown:grow threw:throw thrown:throw flew:fly flown:fly drew:draw drawn:draw saw:see seen:see sang:sing sung:sing began:begin begun:begin swam:swim
   drank:drink drunk:drink ran:run came:come became:become found:find held:hold kept:keep slept:sleep felt:feel left:leave meant:mean met:meet paid:pay said:say sold:sell told:tell sent:send
   spent:spend built:build lost:lose won:win stood:stand understood:understand heard:hear hid:hide hidden:hide lay:lie led:lead lent:lend rose:rise risen:rise shot:shoot shown:show
   stole:steal stolen:steal stuck:stick struck:strike swore:swear sworn:swear wore:wear worn:wear woke:wake woken:wake forgot:forget forgotten:forget
   men:man women:woman children:child feet:foot teeth:tooth mice:mouse geese:goose lives:life wives:wife knives:knife leaves:leaf selves:self shelves:shelf wolves:wolf halves:half
   better:better best:best worse:worse worst:worst dying:die lying:lie tying:tie does:do has:have is:be are:be am:be was:be were:be been:be did:do done:do had:have
   series:series species:species news:news physics:physics mathematics:mathematics maths:mathematics math:mathematics politics:politics economics:economics bus:bus gas:gas lens:lens
   data:data media:media criteria:criterion phenomena:phenomenon analyses:analysis crises:crisis theses:thesis`
    .split(/\s+/)
    .map((pair) => pair.split(':') as [string, string]),
);

const irregular = new Map(Object.entries(irregularForms));

/** Words with which a question asks the same. The first of a line stands for all. */
const synonyms = `buy purchase
  film movie
  begin start commence
  fast quick rapid
  quickly rapidly
  big large
  remove delete
  fix repair
  answer reply
  differ difference differentiate
  kind type sort
  phone cellphone
  photo photograph pic picture
  child kid
  mother mom mum
  father dad
  tv television
  advertisement ad advert
  application app
  laboratory lab
  information info
  examination exam
  bicycle bike
  okay ok
  color colour
  favorite favourite
  center centre
  theater theatre
  program programme
  license licence
  organize organise
  recognize recognise
  realize realise
  happen occur
  advantage benefit pro
  disadvantage drawback con
  useful helpful
  increase gain
  reduce decrease
  significance importance
  website site
  easy simple
  easily simply
  currently nowadays presently
  maybe perhaps
  almost nearly
  help assist
  amazing incredible
  mathematics math maths`;

const synonymOf: ReadonlyMap<string, string> = new Map(
  synonyms.split('\n').flatMap((line) => {
    const [first = '', ...others] = line.trim().split(' ').map(uninflected);
    return others.map((other) => [other, first] as const);
  }),
);

/** Written together with another word, or shortened. */
export const contractions: readonly (readonly [RegExp, string])[] = [
  [/\bcan['’]?not\b|\bcan['’]t\b|\bcant\b/gi, 'can not'],
  [/\bwon['’]t\b/gi, 'will not'],
  [/\bshan['’]t\b/gi, 'shall not'],
  [/\b(do|does|did|is|are|was|were|has|have|had|would|should|could|must|need)n['’]?t\b/gi, '$1 not'],
  [/\b(what|who|where|how|when|why|that|it|there|here|he|she)['’]s\b/gi, '$1 is'],
  [/\bwhats\b/gi, 'what is'],
  [/\b(i)['’]m\b/gi, '$1 am'],
  [/['’]re\b/gi, ' are'],
  [/['’]ve\b/gi, ' have'],
  [/['’]ll\b/gi, ' will'],
  [/['’]d\b/gi, ' would'],
  [/\bwith out\b/gi, 'without'],
  [/['’]s\b/gi, ''],
];

/** The word without its inflection, and the one of its synonyms that stands for all. Lower case in. */
export function baseOf(word: string): string {
  const base = uninflected(word);
  return synonymOf.get(base) ?? base;
}

function uninflected(word: string): string {
  return withoutEnding(irregular.get(word) ?? word);
}

/** Plurals, -ing and -ed; endings that make another word (-er, -ly, -tion) stay. */
function withoutEnding(word: string): string {
  if (word.length < 4) return word;
  if (word.endsWith('ies') && word.length > 4) return `${word.slice(0, -3)}y`;
  if (/(?:ss|sh|ch|x|z)es$/.test(word)) return word.slice(0, -2);
  if (word.endsWith('s') && !/(?:ss|us|is)$/.test(word)) return withoutE(word.slice(0, -1));
  if (word.endsWith('ing') && vowel.test(word.slice(0, -3)) && word.length > 5) return stem(word.slice(0, -3));
  if (word.endsWith('ied') && word.length > 4) return `${word.slice(0, -3)}y`;
  if (word.endsWith('ed') && vowel.test(word.slice(0, -2)) && word.length > 4) return stem(word.slice(0, -2));
  return withoutE(word);
}

/** stopp → stop; hik(e) → hik. */
function stem(rest: string): string {
  const isDoubled = rest.length > 3 && rest.at(-1) === rest.at(-2) && !/[lsz]/.test(rest.at(-1) as string);
  return withoutE(isDoubled ? rest.slice(0, -1) : rest);
}

/** A last e comes and goes with endings: make and making both become "mak". */
function withoutE(word: string): string {
  return word.length > 3 && word.endsWith('e') && !word.endsWith('ee') ? word.slice(0, -1) : word;
}
