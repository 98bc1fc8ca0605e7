import { open, stat } from 'node:fs/promises';

const headerSize = 24;
/** Versions that ggml reads. */
const [oldestVersion, newestVersion] = [2, 3];
/** Versions are counted one by one: a number beyond this is no version. */
const plausibleVersion = 0xff;

/** What is often given in place of a GGUF file, by how it begins. */
const strangers: readonly (readonly [RegExp, string])[] = [
  [/^version https:\/\/git-lfs/, 'it is a Git LFS pointer: fetch the file itself with git lfs pull'],
  [/^.{8}\{/s, 'it looks like a safetensors file: name the folder that it lies in, with its config.json and tokenizer.json'],
  [/^PK/, 'it looks like a PyTorch checkpoint: convert the model with convert_hf_to_gguf.py of llama.cpp'],
  [/^\s*</, 'it is a web page: download the file itself'],
  [/^(ggml|lmgg|ggjt|tjgg|ggla|algg)/, 'it has a format older than GGUF: download the model as GGUF'],
];

/**
 * Why a path is no GGUF file that ggml could read, with what to do about it; `undefined` when it seems to be one. Only the
 * first 24 bytes are read: the rest is checked when the model is loaded.
 */
export async function problemWithGguf(file: string): Promise<string | undefined> {
  try {
    const status = await stat(file);
    if (status.isDirectory()) return 'it is a folder: name the GGUF file in it';
    if (!status.isFile()) return 'it is not a file';
    return problemWithHeader(await readHeader(file));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message;
  }
}

async function readHeader(file: string): Promise<Buffer> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(headerSize), 0, headerSize, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

function problemWithHeader(header: Buffer): string | undefined {
  const start = header.toString('latin1');
  if (header.length === 0) return 'it is empty: download it again';
  if (!start.startsWith('GGUF')) return strangers.find(([pattern]) => pattern.test(start))?.[1] ?? 'it is not a GGUF file';
  if (header.length < headerSize) return 'it ends inside its header: download it again';
  const version = header.readUInt32LE(4);
  if (version > plausibleVersion) {
    const isBigEndian = header.readUInt32BE(4) <= plausibleVersion;
    return isBigEndian
      ? 'its numbers are big-endian, which ggml does not read here: download the other variant'
      : 'its header is damaged: download it again';
  }
  if (version < oldestVersion) return `its GGUF version ${version} is too old: download a newer conversion of the model`;
  if (version > newestVersion)
    return `its GGUF version ${version} is newer than this engine reads (${newestVersion}): upgrade open-autoglm`;
  if (header.readBigUInt64LE(8) === 0n) return 'it holds no weights: it is a vocabulary only';
  return undefined;
}
