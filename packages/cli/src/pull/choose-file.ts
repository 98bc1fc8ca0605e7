import { formatBytes } from '@open-autoglm/engine/bytes';
import { UserError } from '../failure.ts';
import type { HubFile } from './hub.ts';

/** `model-00001-of-00003.gguf`. */
const isSplit = /-\d{5}-of-\d{5}\.gguf$/i;
/** Image encoders that stand beside a language model. */
const isProjector = /(^|\/)mmproj[^/]*$/i;

/** The GGUF of a repository that was named, by its path or its name, or the only one. Throws `UserError` listing the choices. */
export function chooseFile(files: readonly HubFile[], wanted: string | undefined, reference: string): HubFile {
  const models = files.filter(({ path }) => path.toLowerCase().endsWith('.gguf'));
  const single = models.filter(({ path }) => !isSplit.test(path) && !isProjector.test(path));
  if (models.length === 0) throw new UserError(`${reference} has no GGUF file. Look for a repository with GGUF in its name.`);
  if (single.length === 0)
    throw new UserError(
      `${reference} has its models in several files each (-00001-of-…), which are not read here: look for a smaller type, or another repository.`,
    );
  if (wanted === undefined) {
    if (single.length === 1) return single[0] as HubFile;
    throw new UserError(`${reference} has ${single.length} models; say which:\n${listing(single, reference)}`);
  }
  const found = single.filter(({ path }) => path === wanted || path.split('/').at(-1) === wanted);
  if (found.length === 1) return found[0] as HubFile;
  throw new UserError(`${reference} has ${found.length === 0 ? 'no' : 'more than one'} ${wanted}. It has:\n${listing(single, reference)}`);
}

function listing(files: readonly HubFile[], reference: string): string {
  return files.map(({ path, bytes }) => `  ${formatBytes(bytes).padStart(7)}  ${reference}:${path}`).join('\n');
}
