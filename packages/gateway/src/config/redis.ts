import type { Config } from './schema.ts';

const sections = ['cache', 'events', 'limits', 'sessions'] as const;

export const redisAddress =
  'must be an address such as redis://:password@127.0.0.1:6379; of the characters in a password / is written %2F, ? %3F, # %23 and % %25';

/** The section whose `redis_url` is no address, or has a password that cannot be read. It is not repeated: it may hold a secret. */
export function sectionWithoutRedis(config: Pick<Config, (typeof sections)[number]>): (typeof sections)[number] | undefined {
  return sections.find((section) => {
    const { redis_url: text } = config[section];
    return text !== undefined && !isAddress(text);
  });
}

function isAddress(text: string): boolean {
  try {
    const { username, password } = new URL(text);
    decodeURIComponent(username);
    decodeURIComponent(password);
    return true;
  } catch {
    return false;
  }
}
