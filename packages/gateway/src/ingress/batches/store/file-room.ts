/** What may be kept. */
export interface KeepBounds {
  readonly tenantFilesMax: number;
  readonly tenantBytesMax: number;
  /** Of all tenants of a key. */
  readonly keyFilesMax: number;
  readonly keyBytesMax: number;
  /** Of all tenants. */
  readonly bytesMax: number;
}

interface Kept {
  readonly count: number;
  readonly bytes: number;
}

/** What is. */
export interface Usage {
  readonly tenant: Kept;
  /** All of its key's tenants, this one too. */
  readonly key: Kept;
  readonly bytesOfAll: number;
}

export function isFullOfFiles({ tenant, key }: Usage, { tenantFilesMax, keyFilesMax }: KeepBounds): boolean {
  return tenant.count >= tenantFilesMax || key.count >= keyFilesMax;
}

/** Bytes that may still come. */
export function roomIn({ tenant, key, bytesOfAll }: Usage, { tenantBytesMax, keyBytesMax, bytesMax }: KeepBounds): number {
  return Math.min(tenantBytesMax - tenant.bytes, keyBytesMax - key.bytes, bytesMax - bytesOfAll);
}
