import { unwrapKeys } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { EntityKeys } from '../sealing/entity-keys.ts';

/** So that a request for many keys does not crowd out appends at the strong store. */
const READS_AT_ONCE_MAX = 64;

/** `POST /v1/keys/unwrap` */
export function unwrapKeysRoute(keys: EntityKeys): Route {
  return route(unwrapKeys, async ({ body }) => {
    const secrets: (string | null)[] = [];
    for (let at = 0; at < body.keys.length; at += READS_AT_ONCE_MAX) {
      const read = body.keys
        .slice(at, at + READS_AT_ONCE_MAX)
        .map(({ tenant, entity, keyId }) => keys.secretOf(tenant, entity, keyId));
      for (const secret of await Promise.all(read)) {
        secrets.push(secret?.toString('base64') ?? null);
      }
    }
    return ok({ secrets });
  });
}
