import { validateHeaderValue } from 'node:http';
import { UserError } from './failure.ts';

/** The key that an environment variable holds, if any. Throws `UserError` for one that no header can hold. */
export function readApiKey(variable: string, env: NodeJS.ProcessEnv = process.env): string | undefined {
  const apiKey = env[variable];
  if (apiKey === undefined || apiKey === '') return undefined;
  try {
    validateHeaderValue('authorization', apiKey);
  } catch {
    throw new UserError(`The key in ${variable} cannot be sent: it has a line end, another control character, or one beyond Latin-1.`);
  }
  return apiKey;
}
