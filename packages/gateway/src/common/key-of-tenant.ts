/**
 * A tenant is its credentials, hashed, and behind a dot the name that was given beside them, where one was. A platform with one key
 * names as many as it has users, and so may anybody: what must be shared among those that pay is shared by this first, and by tenant
 * within it. Callers without credentials are one.
 */
export function keyOfTenant(tenant: string): string {
  const dot = tenant.indexOf('.');
  return dot === -1 ? tenant : tenant.slice(0, dot);
}
