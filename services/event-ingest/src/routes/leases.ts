import { deleteLease, putLease } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { Leases } from '../strong/leases.ts';

/** `PUT` and `DELETE /v1/leases/{name}` */
export function leaseRoutes(leases: Leases): Route[] {
  return [
    route(putLease, async ({ params, body, tenant, signal }) =>
      ok(await leases.put(tenant, params.name, body, signal)),
    ),
    route(deleteLease, async ({ params, query, tenant }) => {
      await leases.release(tenant, params.name, query);
      return { status: 204 };
    }),
  ];
}
