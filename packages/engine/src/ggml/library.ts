import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { AutoglmError } from '@open-autoglm/protocol';
import koffi from 'koffi';
import { bindGgml, type Ggml } from './bindings.ts';

/** The structs and their layouts are those of this version; the ABI is not stable between versions. */
const expectedVersion = '0.25.1';

let loaded: Ggml | undefined;

/**
 * Loads ggml once in this process and picks the CPU variant that suits the machine best.
 * Throws `engine_failed` when there is no build for the platform or its version is another one.
 */
export function loadGgml(): Ggml {
  loaded ??= openLibraries();
  return loaded;
}

/**
 * Of a call into the libraries, in bytes; the most that koffi gives. `std::regex`, by which libllama splits text, takes 400 for each
 * character of a match.
 */
const stackBytes = 16 * 2 ** 20;

function openLibraries(): Ggml {
  koffi.config({ ...koffi.config(), sync_stack_size: stackBytes, async_stack_size: stackBytes });
  const folder = libraryFolder();
  const base = koffi.load(path.join(folder, 'libggml-base.so'));
  const registry = koffi.load(path.join(folder, 'libggml.v0.5.0.so'));
  const llama = koffi.load(path.join(folder, 'libllama.v0.5.0.so'));
  const ggml = bindGgml({ base, registry, llama });
  const version = ggml.version();
  if (version !== expectedVersion) {
    throw new AutoglmError('engine_failed', `ggml ${version} is installed, but this engine is written for ${expectedVersion}: run npm ci.`);
  }
  silenceLog(ggml);
  ggml.backendLoadAllFromPath(folder);
  if (ggml.backendDevCount() === 0) {
    throw new AutoglmError('engine_failed', `ggml found no usable CPU variant in ${folder}.`);
  }
  return ggml;
}

/** The folder of ggml's prebuilt libraries. */
export function libraryFolder(): string {
  const platform = `${process.platform}-${process.arch}`;
  const name = `@node-llama-cpp/${platform}`;
  try {
    const manifest = createRequire(import.meta.url).resolve(name);
    const folder = path.join(path.dirname(manifest), '..', 'bins', platform);
    if (existsSync(folder)) return folder;
  } catch (error) {
    throw missingLibraries(name, error);
  }
  throw missingLibraries(name);
}

function missingLibraries(name: string, cause?: unknown): AutoglmError {
  const message =
    `The engine's kernels (npm package ${name}) are not installed. Run npm install without --omit=optional; ` +
    'the embedded engine runs on Linux, x64 or arm64, with glibc.';
  return new AutoglmError('engine_failed', message, { cause });
}

/** ggml writes a line per tensor it repacks. Only errors are kept, for the message of the next failure. */
function silenceLog(ggml: Ggml): void {
  ggml.logSet(logCallback(), null);
}

const errorLevel = 4;
const continuedLevel = 5;
let lastErrors: string[] = [];
let keeping = false;

function logCallback(): bigint {
  const prototype = koffi.proto('void', ['int', 'const char *', 'void *']);
  return koffi.register((level: number, text: string) => {
    keeping = level === errorLevel || (level === continuedLevel && keeping);
    if (keeping) lastErrors = [...lastErrors.slice(-9), text.trim()];
  }, koffi.pointer(prototype)) as unknown as bigint;
}

/** What ggml logged as errors since the last call, at most ten lines. */
export function takeGgmlErrors(): string {
  const text = lastErrors.join('; ');
  lastErrors = [];
  return text;
}
