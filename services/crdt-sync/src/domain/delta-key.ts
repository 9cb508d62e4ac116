import { MemplaneError, NAME_PATTERN, TENANT_PATTERN } from '@memplane/contracts';
import type { Ref } from './port.ts';

/** A name as deltas between replicas have it. */
export function deltaKeyOf({ tenant, name }: Ref): string {
  return `${tenant}/${name}`;
}

/** @throws MemplaneError `invalid_request` for what is no tenant and name */
export function refOfDeltaKey(key: string): Ref {
  const slash = key.indexOf('/');
  const ref = { tenant: key.slice(0, Math.max(0, slash)), name: key.slice(slash + 1) };
  if (TENANT_PATTERN.test(ref.tenant) && NAME_PATTERN.test(ref.name)) return ref;
  throw new MemplaneError('invalid_request', 'A delta has a name that none can be.');
}
