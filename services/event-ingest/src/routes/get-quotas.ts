import { getQuotas, type Quotas } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { TenantRates } from '../domain/quotas/tenant-rates.ts';

/** `GET /v1/quotas` */
export function getQuotasRoute(rates: TenantRates): Route {
  return route(getQuotas, ({ tenant }) => {
    const quotas = rates.stateOf(tenant).map(({ limit, value, used }) => ({
      limit,
      ...(value === undefined ? {} : { value }),
      used,
    }));
    return ok({ tenant, quotas } satisfies Quotas);
  });
}
