import { unwrapKeys } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { EntityKeys } from '../sealing/entity-keys.ts';

/** `POST /v1/keys/unwrap` */
export function unwrapKeysRoute(keys: EntityKeys): Route {
  return route(unwrapKeys, async ({ body }) => {
    const secrets = await Promise.all(
      body.keys.map(async ({ tenant, entity, keyId }) => {
        const secret = await keys.secretOf(tenant, entity, keyId);
        return secret?.toString('base64') ?? null;
      }),
    );
    return ok({ secrets });
  });
}
