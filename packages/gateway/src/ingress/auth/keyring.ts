import { createHash, hash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { AutoglmError } from '@open-autoglm/protocol';
import { ConfigError } from '../../common/config-error.ts';

/** A key as the configuration has it: in one of three places, never in clear in the file. */
export interface KeyEntry {
  /** Says whose it is, in limits and batches. */
  readonly name: string;
  /** The environment variable that holds it. */
  readonly key_env?: string;
  /** The file that holds it, and nothing else. */
  readonly key_file?: string;
  /** Its SHA-256, in hexadecimal. */
  readonly key_sha256?: string;
  /** The models that it opens; all when not given. */
  readonly models?: readonly string[];
}

/** Whoever has shown a key. */
export interface KeyHolder {
  readonly name: string;
  /** Throws `permission_denied` for a model that this key does not open, with the field that names it. */
  allow(model: string, param: string): void;
}

interface Known {
  readonly holder: KeyHolder;
  readonly digest: Buffer;
}

/** A shorter one is guessed sooner than it is worth. */
const keyLengthMin = 8;

/** The keys that open this server. */
export class Keyring {
  /** By the digest's digest under a secret of this process, so that how far a look-up got tells nobody anything of the key. */
  readonly #known = new Map<string, Known>();
  readonly #byName = new Map<string, KeyHolder>();
  readonly #salt = randomBytes(32);

  /** Throws `ConfigError` for a key that is not there, or there twice. */
  constructor(entries: readonly KeyEntry[], env: Readonly<Record<string, string | undefined>>) {
    for (const [index, entry] of entries.entries()) {
      const place = `auth.keys[${index}]`;
      const digest = digestOf(entry, env, place);
      const blinded = this.#blind(digest);
      if (this.#known.has(blinded)) throw new ConfigError(`${place}: this key is there already, under another name.`);
      if (this.#byName.has(entry.name))
        throw new ConfigError(`${place}.name: the name ${JSON.stringify(entry.name)} is taken by another key.`);
      const holder = toHolder(entry);
      this.#known.set(blinded, { holder, digest });
      this.#byName.set(entry.name, holder);
    }
  }

  /** Throws `missing_api_key` or `invalid_api_key`. */
  open({ authorization }: IncomingHttpHeaders): KeyHolder {
    const [, key] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
    if (key === undefined)
      throw new AutoglmError('missing_api_key', 'This server wants an API key: send it as "authorization: Bearer KEY".');
    const digest = hash('sha256', key, 'buffer');
    const known = this.#known.get(this.#blind(digest));
    if (!known || !timingSafeEqual(known.digest, digest)) throw new AutoglmError('invalid_api_key', 'This API key is not known here.');
    return known.holder;
  }

  /** Whoever held this key when it left work to be done later. Throws `invalid_api_key` when the configuration has it no more. */
  require(name: string): KeyHolder {
    const holder = this.#byName.get(name);
    if (!holder)
      throw new AutoglmError('invalid_api_key', `The API key ${JSON.stringify(name)}, with which this was asked for, was taken away.`);
    return holder;
  }

  #blind(digest: Buffer): string {
    return createHash('sha256').update(this.#salt).update(digest).digest('base64');
  }
}

function toHolder({ name, models }: KeyEntry): KeyHolder {
  return {
    name,
    allow(model, param) {
      if (models && !models.includes(model))
        throw new AutoglmError(
          'permission_denied',
          `The API key ${JSON.stringify(name)} does not open the model ${JSON.stringify(model)}.`,
          { param },
        );
    },
  };
}

function digestOf(
  { key_env: variable, key_file: file, key_sha256: given }: KeyEntry,
  env: Readonly<Record<string, string | undefined>>,
  place: string,
): Buffer {
  if ([variable, file, given].filter((where) => where !== undefined).length !== 1) {
    throw new ConfigError(`${place} must say where its key is: one of key_env, key_file and key_sha256.`);
  }
  if (given !== undefined) return Buffer.from(given, 'hex');
  const [key, where] =
    variable !== undefined ? [env[variable], `the environment variable ${variable}`] : [readKey(file as string, place), `the file ${file}`];
  if (!key) throw new ConfigError(`${place}: ${where} holds no key.`);
  if (!/^[\x21-\x7e]+$/.test(key))
    throw new ConfigError(`${place}: ${where} holds a space, a line break or another character that no key has.`);
  if (key.length < keyLengthMin)
    throw new ConfigError(`${place}: ${where} holds a key of ${key.length} characters, and ${keyLengthMin} are the least.`);
  return hash('sha256', key, 'buffer');
}

/** Editors end a file with a line break; it is none of the key's. */
function readKey(file: string, place: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd();
  } catch (error) {
    throw new ConfigError(`${place}.key_file: ${file} cannot be read: ${(error as Error).message}`);
  }
}
