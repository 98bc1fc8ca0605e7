import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { Busboy, type BusboyFileStream } from '@fastify/busboy';
import { AutoglmError } from '@open-autoglm/protocol';

/** A part of the form that is a file, as its bytes come. */
export interface UploadedFile {
  readonly filename: string;
  /** Throws `payload_too_large` beyond the bound. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

const fieldBytesMax = 4096;
const fieldsMax = 16;
const nameBytesMax = 256;

/**
 * Reads a form with one file, the part `file`; its other fields come before it or after it. `onFile` takes the file's bytes as they come.
 * Throws `unsupported_media_type`, `invalid_value`, `missing_parameter`, `payload_too_large`, what `onFile` throws, or the signal's reason.
 */
export async function readUpload<T>(
  message: IncomingMessage,
  fileBytesMax: number,
  signal: AbortSignal,
  onFile: (file: UploadedFile) => Promise<T>,
): Promise<{ readonly fields: Readonly<Record<string, string>>; readonly file: T }> {
  const form = open(message, fileBytesMax);
  const fields: Record<string, string> = {};
  let failure: Error | undefined;
  let file: Promise<T> | undefined;
  let content: BusboyFileStream | undefined;
  const fail = (error: Error) => {
    failure ??= error;
    form.destroy(error);
  };
  form.on('field', (name, value, _isNameCut, isCut) => {
    if (isCut || Object.hasOwn(fields, name))
      fail(
        new AutoglmError(
          'invalid_value',
          `Invalid value for '${name}': ${isCut ? `it has more than ${fieldBytesMax} bytes` : 'it is there twice'}.`,
          { param: name },
        ),
      );
    else fields[name] = value;
  });
  form.on('fieldsLimit', () => fail(new AutoglmError('invalid_value', `The form has more than ${fieldsMax} fields.`)));
  form.on('filesLimit', () =>
    fail(new AutoglmError('invalid_value', "Invalid value for 'file': there is more than one file.", { param: 'file' })),
  );
  form.on('file', (name, stream, filename) => {
    if (name !== 'file') {
      stream.resume();
      return fail(new AutoglmError('unknown_parameter', `Unknown parameter: '${name}'.`, { param: name }));
    }
    content = stream;
    // It is destroyed below where nobody may read it any more.
    stream.on('error', () => {});
    file = onFile({ filename: filename || 'upload.jsonl', bytes: bounded(stream, fileBytesMax) });
    // Told by `pipeline`, or below.
    file.catch(fail);
  });
  try {
    await pipeline(message, form, { signal });
  } catch (thrown) {
    // The form that is broken off leaves the message paused: as one that nobody may read on.
    message.resume();
    // What was begun is over before anybody hears of it; the form does not end what it has handed out.
    content?.destroy(thrown as Error);
    await file?.catch(() => {});
    if (signal.aborted) throw signal.reason;
    throw failure ?? malformed(thrown as Error);
  }
  if (!file) throw new AutoglmError('missing_parameter', "Missing required parameter: 'file'.", { param: 'file' });
  return { fields, file: await file };
}

function open({ headers }: IncomingMessage, fileBytesMax: number): InstanceType<typeof Busboy> {
  const type = headers['content-type'] ?? '';
  if (!/^multipart\/form-data\b/i.test(type))
    throw new AutoglmError('unsupported_media_type', 'A file is uploaded as multipart/form-data, with the fields "file" and "purpose".');
  try {
    return new Busboy({
      headers: { ...headers, 'content-type': type },
      limits: {
        files: 1,
        fields: fieldsMax,
        parts: fieldsMax + 1,
        fieldSize: fieldBytesMax,
        fieldNameSize: nameBytesMax,
        fileSize: fileBytesMax,
      },
    });
  } catch (error) {
    throw malformed(error as Error);
  }
}

async function* bounded(stream: BusboyFileStream, bytesMax: number): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) yield chunk as Uint8Array;
  if (stream.truncated)
    throw new AutoglmError(
      'payload_too_large',
      `The file is larger than the ${bytesMax} bytes that this server takes (batches.file_bytes_max).`,
      { param: 'file' },
    );
}

function malformed(cause: Error): AutoglmError {
  return cause instanceof AutoglmError
    ? cause
    : new AutoglmError('invalid_value', `The form is not valid multipart/form-data: ${cause.message}.`, { cause });
}
