import { messagePackTypes, type MessagePackForm } from './message-pack.ts';

/** How an answer is written. */
export type AnswerEncoding = 'json' | MessagePackForm;

interface Range {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly quality: number;
}

/**
 * What an `Accept` header asks for (RFC 9110, 12.5.1): MessagePack where it is named, and nothing else is wanted more. `records=1` asks
 * for shared records. Whoever asks for what we do not have gets JSON, as a client that asks for nothing does.
 */
export function encodingOf(accept: string | undefined): AnswerEncoding {
  // Nearly every request ends here.
  if (accept === undefined || !/msgpack/i.test(accept)) return 'json';
  const ranges = accept.split(',').map(readRange);
  const packed = ranges.filter(({ type, quality }) => messagePackTypes.has(type) && quality > 0);
  const best = packed.reduce<Range | undefined>((chosen, range) => (chosen && chosen.quality >= range.quality ? chosen : range), undefined);
  if (!best) return 'json';
  const others = ranges.filter(({ type }) => type === 'application/json' || type === 'text/event-stream');
  // Of two that are wanted as much, the one that is named first; a wildcard names nothing.
  const rival =
    others.find(({ quality }) => quality > best.quality) ??
    others.find((range) => range.quality === best.quality && ranges.indexOf(range) < ranges.indexOf(best));
  if (rival) return 'json';
  return best.parameters.get('records') === '1' ? 'records' : 'plain';
}

function readRange(text: string): Range {
  const [type = '', ...rest] = text.split(';').map((piece) => piece.trim().toLowerCase());
  const parameters = new Map(rest.map((piece) => piece.split('=', 2).map((part) => part.trim().replaceAll('"', '')) as [string, string]));
  const quality = Number(parameters.get('q') ?? 1);
  return { type, parameters, quality: quality >= 0 && quality <= 1 ? quality : 0 };
}
