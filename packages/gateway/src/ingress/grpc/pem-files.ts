import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ConfigError } from '../../common/config-error.ts';

const certificatePattern = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/** `key`: of the configuration; `problem`: with the file and the date; `consequence`: a sentence. */
export type OnInvalid = (key: string, problem: string, consequence: string) => void;

/**
 * The bytes of a PEM file with the certificates of those that are trusted. Rejects with `ConfigError` naming the key where it holds
 * none: such a file would be found out by whoever connects. Tells of the first that is not valid now; the others hold, as where an
 * authority is being replaced.
 */
export async function readAuthorities(key: string, file: string, onInvalid: OnInvalid): Promise<Buffer> {
  const { bytes, certificates } = await readCertificates(key, file);
  for (const [index, certificate] of certificates.entries()) {
    const which = certificates.length > 1 ? `certificate ${index + 1} of ${certificates.length} in ${file}` : `the certificate ${file}`;
    const problem = problemOf(certificate);
    if (problem === undefined) continue;
    onInvalid(key, `${which} ${problem}`, 'Peers whose certificates it has signed are refused.');
    break;
  }
  return bytes;
}

/**
 * As `readAuthorities`, of what is shown to others, the holder's own first. A clock may be wrong, and a file may be renewed, so that one
 * that is not valid now is used all the same.
 */
export async function readOwnCertificate(key: string, file: string, onInvalid: OnInvalid): Promise<Buffer> {
  const {
    bytes,
    certificates: [own],
  } = await readCertificates(key, file);
  const problem = problemOf(own as X509Certificate);
  if (problem !== undefined) onInvalid(key, `the certificate ${file} ${problem}`, 'Peers that check it will not connect.');
  return bytes;
}

async function readCertificates(
  key: string,
  file: string,
): Promise<{ readonly bytes: Buffer; readonly certificates: readonly X509Certificate[] }> {
  const bytes = await read(key, file);
  const texts = bytes.toString('latin1').match(certificatePattern) ?? [];
  if (texts.length === 0) throw new ConfigError(`${key}: ${file} holds no certificate in PEM.`);
  return { bytes, certificates: texts.map((text) => parsed(key, file, () => new X509Certificate(text))) };
}

function problemOf({ validFromDate, validToDate }: X509Certificate): string | undefined {
  const now = Date.now();
  if (validToDate.getTime() < now) return `is expired since ${validToDate.toISOString()}`;
  return validFromDate.getTime() > now ? `is not valid before ${validFromDate.toISOString()}` : undefined;
}

/** The bytes of a PEM file that holds the key of a certificate. Rejects with `ConfigError` as above, and where it is another's. */
export async function readPrivateKey(key: string, file: string, certificate: Buffer): Promise<Buffer> {
  const bytes = await read(key, file);
  const privateKey: KeyObject = parsed(key, file, () => createPrivateKey(bytes));
  if (!new X509Certificate(certificate).checkPrivateKey(privateKey))
    throw new ConfigError(`${key}: ${file} is not the key of the certificate beside it.`);
  return bytes;
}

function read(key: string, file: string): Promise<Buffer> {
  return readFile(file).catch((error: Error) => {
    throw new ConfigError(`${key}: ${error.message}.`);
  });
}

function parsed<T>(key: string, file: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new ConfigError(`${key}: ${file} cannot be used: ${(error as Error).message}.`);
  }
}
