import { readFileSync } from 'node:fs';
import { AutoglmError } from '@open-autoglm/protocol';
import type { KvCacheParts } from './kv-cache-parts.ts';
import type { KvCache } from './kv-cache.ts';
import { createPagedKvCache } from './paged-kv-cache.ts';
import type { KvType } from './row-layout.ts';
import { createStaticKvCache } from './static-kv-cache.ts';
import { openVirtualMemory, type VirtualMemory } from './virtual-memory.ts';

export interface KvCacheOptions {
  /** `paged` shares what prompts have in common and bounds the memory; `static` gives each sequence a slot of its own. */
  readonly strategy: 'paged' | 'static';
  readonly type: KvType;
  /** Most physical memory for keys and values, of `paged`. A quarter of what is available when not given. */
  readonly maxBytes?: number | undefined;
  /** Requests share whatever their `cacheScope`. */
  readonly isSharedBetweenScopes?: boolean;
}

export interface OpenKvCache {
  readonly cache: KvCache;
  /** For people: why it is another strategy than asked for. */
  readonly notice: string | undefined;
}

/** Linux's default for `vm.max_map_count`. */
const usualMappingsMax = 65_530;

/** Throws `engine_failed` with what to do about it. Where the system cannot map memory as paging needs it, the cache is static. */
export function openKvCache(
  model: Omit<KvCacheParts, 'type'>,
  { strategy, type, maxBytes }: KvCacheOptions,
  openMemory: () => VirtualMemory = openVirtualMemory,
): OpenKvCache {
  const parts = { ...model, type };
  if (strategy === 'static') return { cache: createStaticKvCache(parts), notice: undefined };
  try {
    const cache = createPagedKvCache({
      ...parts,
      memory: openMemory(),
      maxBytes: maxBytes ?? process.availableMemory() / 4,
      mappingsMax: readMappingsMax(),
    });
    return { cache, notice: undefined };
  } catch (error) {
    if (error instanceof AutoglmError) throw error;
    const notice = `The KV cache is static: this system does not let memory be mapped as paging needs it (${(error as Error).message}).`;
    return { cache: createStaticKvCache(parts), notice };
  }
}

function readMappingsMax(): number {
  try {
    return Number(readFileSync('/proc/sys/vm/max_map_count', 'utf8')) || usualMappingsMax;
  } catch {
    return usualMappingsMax;
  }
}
