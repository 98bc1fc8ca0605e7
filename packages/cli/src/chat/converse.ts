import { messageOf } from '../failure.ts';
import { answer } from './answer.ts';
import { createLineReader } from './line-reader.ts';
import type { ChatAddress, ChatSettings, ChatTurn } from './stream-chat.ts';

const welcome = 'Ctrl-C stops an answer · /clear forgets the conversation · /exit leaves\n';

/** A conversation in the terminal, until the user leaves. */
export async function converse(server: ChatAddress, settings: ChatSettings, system: string | undefined): Promise<void> {
  const beginning: readonly ChatTurn[] = system === undefined ? [] : [{ role: 'system', content: system }];
  const reader = createLineReader();
  let turns = beginning;
  process.stderr.write(welcome);
  for (;;) {
    const said = (await reader.read('› '))?.trim();
    if (said === undefined || said === '/exit') return;
    if (said === '') continue;
    if (said === '/clear') {
      turns = beginning;
      process.stderr.write('forgotten\n');
    } else if (/^\/[a-z]+$/.test(said)) {
      process.stderr.write(`${said} is not known. ${welcome}`);
    } else {
      turns = await takeTurn(server, settings, [...turns, { role: 'user', content: said }]);
    }
  }
}

/** The conversation with the answer, or without the question when nothing was answered: it can then be asked again. */
async function takeTurn(server: ChatAddress, settings: ChatSettings, turns: readonly ChatTurn[]): Promise<readonly ChatTurn[]> {
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  // A second Ctrl-C, while the answer is still ending, leaves as it does anywhere.
  process.once('SIGINT', interrupt);
  try {
    const content = await answer(server, settings, turns, stop.signal);
    return content === '' ? turns.slice(0, -1) : [...turns, { role: 'assistant', content }];
  } catch (error) {
    process.stderr.write(`autoglm: ${messageOf(error)}\n`);
    return turns.slice(0, -1);
  } finally {
    process.off('SIGINT', interrupt);
  }
}
