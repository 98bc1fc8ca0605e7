import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ConfigError } from '../../common/config-error.ts';

const certificatePattern = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/** The bytes of a PEM file that holds certificates, the holder's own first. Rejects with `ConfigError` naming the key where it does not: such a file would be found out by whoever connects. */
export async function readCertificates(key: string, file: string): Promise<Buffer> {
  const bytes = await read(key, file);
  const certificates = bytes.toString('latin1').match(certificatePattern) ?? [];
  if (certificates.length === 0) throw new ConfigError(`${key}: ${file} holds no certificate in PEM.`);
  for (const certificate of certificates) parsed(key, file, () => new X509Certificate(certificate));
  return bytes;
}

/** `key`: of the configuration; `problem`: with the file and the date. */
export type OnInvalid = (key: string, problem: string) => void;

/** As `readCertificates`, of what is shown to others. Tells where they will not take it now: a clock may be wrong, and a file may be renewed, so that it is used all the same. */
export async function readOwnCertificate(key: string, file: string, onInvalid: OnInvalid): Promise<Buffer> {
  const bytes = await readCertificates(key, file);
  const { validFromDate, validToDate } = new X509Certificate(bytes);
  const now = Date.now();
  if (validToDate.getTime() < now) onInvalid(key, `the certificate ${file} is expired since ${validToDate.toISOString()}`);
  else if (validFromDate.getTime() > now) onInvalid(key, `the certificate ${file} is not valid before ${validFromDate.toISOString()}`);
  return bytes;
}

/** The bytes of a PEM file that holds the key of a certificate. Rejects with `ConfigError` as above, and where it is another's. */
export async function readPrivateKey(key: string, file: string, certificate: Buffer): Promise<Buffer> {
  const bytes = await read(key, file);
  const privateKey: KeyObject = parsed(key, file, () => createPrivateKey(bytes));
  if (!new X509Certificate(certificate).checkPrivateKey(privateKey)) throw new ConfigError(`${key}: ${file} is not the key of the certificate beside it.`);
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
