import { keyOfTenant } from '../../common/key-of-tenant.ts';
import { tooManySessions } from './session-errors.ts';
import {
  overheadBytes,
  type SessionLimits,
  type SessionRecord,
  type SessionRemoved,
  type SessionReplaced,
  type SessionSources,
  type SessionStore,
} from './session-store.ts';

interface Entry {
  readonly tenant: string;
  /** Bytes of UTF-8: outside V8's heap, and as large as they are counted. */
  body: Buffer;
  revision: string;
  readonly createdAtMs: number;
  usedAtMs: number;
}

/** The sessions of all tenants of a key. */
interface Share {
  /** In the order of use. */
  readonly entries: Map<string, Entry>;
  bytes: number;
}

/** Sessions in this process's memory. The maps are in the order of use, so that who is to go is always the first of one. */
export class MemorySessionStore implements SessionStore {
  readonly #limits: SessionLimits;
  readonly #sources: SessionSources;
  readonly #entries = new Map<string, Entry>();
  readonly #countByTenant = new Map<string, number>();
  readonly #shares = new Map<string, Share>();
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
    const name = nameOf(tenant, id);
    this.#entries.set(name, entry);
    this.#countByTenant.set(tenant, count + 1);
    const share = this.#shareOf(entry);
    share.entries.set(name, entry);
    this.#count(share, sizeOf(entry));
    this.#makeRoom(entry);
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
    const sizeBefore = sizeOf(entry);
    entry.body = Buffer.from(body);
    entry.revision = this.#sources.newRevision();
    this.#count(this.#shareOf(entry), sizeOf(entry) - sizeBefore);
    this.#makeRoom(entry);
    return { kind: 'replaced', revision: entry.revision };
  }

  async remove(tenant: string, id: string, revision: string | undefined): Promise<SessionRemoved> {
    this.#dropExpired();
    const name = nameOf(tenant, id);
    const entry = this.#entries.get(name);
    if (!entry) return 'absent';
    if (revision !== undefined && entry.revision !== revision) return 'changed';
    this.#drop(name, entry);
    return 'removed';
  }

  async close(): Promise<void> {
    this.#entries.clear();
    this.#countByTenant.clear();
    this.#shares.clear();
    this.#bytes = 0;
  }

  #use(tenant: string, id: string): Entry | undefined {
    this.#dropExpired();
    const name = nameOf(tenant, id);
    const entry = this.#entries.get(name);
    if (!entry) return undefined;
    entry.usedAtMs = this.#sources.now();
    for (const entries of [this.#entries, this.#shareOf(entry).entries]) {
      entries.delete(name);
      entries.set(name, entry);
    }
    return entry;
  }

  #dropExpired(): void {
    const oldest = this.#sources.now() - this.#limits.ttlMs;
    for (const [name, entry] of this.#entries) {
      if (entry.usedAtMs > oldest) return;
      this.#drop(name, entry);
    }
  }

  /** The session that was just written stays: it fits by itself, since one may not be larger than all. */
  #makeRoom(written: Entry): void {
    for (;;) {
      const tooMany = this.#entries.size > this.#limits.sessionsMax;
      if (!tooMany && this.#bytes <= this.#limits.bytesMax) return;
      const [name, entry] = this.#oldestOfMost(tooMany ? ({ entries }) => entries.size : ({ bytes }) => bytes, written);
      this.#drop(name, entry);
    }
  }

  /** Of the key that has most, so that nobody's fall to what others write while they have less. It looks at each key. */
  #oldestOfMost(of: (share: Share) => number, written: Entry): [string, Entry] {
    let most = -1;
    let found: [string, Entry] | undefined;
    for (const share of this.#shares.values()) {
      // What was written is the last of its share.
      const [oldest] = share.entries;
      if (of(share) <= most || oldest?.[1] === written) continue;
      [most, found] = [of(share), oldest];
    }
    return found as [string, Entry];
  }

  #shareOf({ tenant }: Entry): Share {
    const key = keyOfTenant(tenant);
    const known = this.#shares.get(key);
    if (known) return known;
    const share: Share = { entries: new Map(), bytes: 0 };
    this.#shares.set(key, share);
    return share;
  }

  #count(share: Share, bytes: number): void {
    share.bytes += bytes;
    this.#bytes += bytes;
  }

  #drop(name: string, entry: Entry): void {
    const share = this.#shareOf(entry);
    this.#entries.delete(name);
    share.entries.delete(name);
    this.#count(share, -sizeOf(entry));
    if (share.entries.size === 0) this.#shares.delete(keyOfTenant(entry.tenant));
    const count = (this.#countByTenant.get(entry.tenant) ?? 1) - 1;
    if (count === 0) this.#countByTenant.delete(entry.tenant);
    else this.#countByTenant.set(entry.tenant, count);
  }
}

/** Tenants are hashes, and no id has a line break. */
function nameOf(tenant: string, id: string): string {
  return `${tenant}\n${id}`;
}

function sizeOf({ body }: Entry): number {
  return body.length + overheadBytes;
}

function toRecord({ body, revision, createdAtMs }: Entry): SessionRecord {
  return { body: body.toString(), revision, createdAtMs };
}
