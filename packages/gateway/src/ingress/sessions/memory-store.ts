import { tooManySessions } from './session-errors.ts';
import { overheadBytes, type SessionLimits, type SessionRecord, type SessionRemoved, type SessionReplaced, type SessionSources, type SessionStore } from './session-store.ts';

interface Entry {
  readonly tenant: string;
  /** Bytes of UTF-8: outside V8's heap, and as large as they are counted. */
  body: Buffer;
  revision: string;
  readonly createdAtMs: number;
  usedAtMs: number;
}

/** Sessions in this process's memory. The map is in the order of use, so that who is to go is always its first. */
export class MemorySessionStore implements SessionStore {
  readonly #limits: SessionLimits;
  readonly #sources: SessionSources;
  readonly #entries = new Map<string, Entry>();
  readonly #countByTenant = new Map<string, number>();
  #bytes = 0;

  constructor(limits: SessionLimits, sources: SessionSources) {
    this.#limits = limits;
    this.#sources = sources;
  }

  get bytes(): number {
    return this.#bytes;
  }

  async create(tenant: string, id: string, body: string): Promise<SessionRecord> {
    this.#dropExpired();
    const count = this.#countByTenant.get(tenant) ?? 0;
    if (count >= this.#limits.perTenantMax) throw tooManySessions(this.#limits);
    const now = this.#sources.now();
    const entry: Entry = { tenant, body: Buffer.from(body), revision: this.#sources.newRevision(), createdAtMs: now, usedAtMs: now };
    this.#entries.set(keyOf(tenant, id), entry);
    this.#countByTenant.set(tenant, count + 1);
    this.#bytes += sizeOf(entry);
    this.#makeRoom();
    return toRecord(entry);
  }

  async read(tenant: string, id: string): Promise<SessionRecord | undefined> {
    const entry = this.#use(tenant, id);
    return entry && toRecord(entry);
  }

  async replace(tenant: string, id: string, revision: string, body: string): Promise<SessionReplaced> {
    const entry = this.#use(tenant, id);
    if (!entry) return { kind: 'absent' };
    if (entry.revision !== revision) return { kind: 'changed' };
    this.#bytes -= sizeOf(entry);
    entry.body = Buffer.from(body);
    entry.revision = this.#sources.newRevision();
    this.#bytes += sizeOf(entry);
    this.#makeRoom();
    return { kind: 'replaced', revision: entry.revision };
  }

  async remove(tenant: string, id: string, revision: string | undefined): Promise<SessionRemoved> {
    this.#dropExpired();
    const key = keyOf(tenant, id);
    const entry = this.#entries.get(key);
    if (!entry) return 'absent';
    if (revision !== undefined && entry.revision !== revision) return 'changed';
    this.#drop(key, entry);
    return 'removed';
  }

  async close(): Promise<void> {
    this.#entries.clear();
    this.#countByTenant.clear();
    this.#bytes = 0;
  }

  #use(tenant: string, id: string): Entry | undefined {
    this.#dropExpired();
    const key = keyOf(tenant, id);
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    entry.usedAtMs = this.#sources.now();
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry;
  }

  #dropExpired(): void {
    const oldest = this.#sources.now() - this.#limits.ttlMs;
    for (const [key, entry] of this.#entries) {
      if (entry.usedAtMs > oldest) return;
      this.#drop(key, entry);
    }
  }

  /** The session that was just written is the last to go: it fits by itself, since one may not be larger than all. */
  #makeRoom(): void {
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= this.#limits.sessionsMax && this.#bytes <= this.#limits.bytesMax) return;
      this.#drop(key, entry);
    }
  }

  #drop(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= sizeOf(entry);
    const count = (this.#countByTenant.get(entry.tenant) ?? 1) - 1;
    if (count === 0) this.#countByTenant.delete(entry.tenant);
    else this.#countByTenant.set(entry.tenant, count);
  }
}

/** Tenants are hashes, and no id has a line break. */
function keyOf(tenant: string, id: string): string {
  return `${tenant}\n${id}`;
}

function sizeOf({ body }: Entry): number {
  return body.length + overheadBytes;
}

function toRecord({ body, revision, createdAtMs }: Entry): SessionRecord {
  return { body: body.toString(), revision, createdAtMs };
}
