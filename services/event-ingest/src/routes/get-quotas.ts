import { getQuotas, type Quotas } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { StoredLimits } from '../domain/quotas/stored-limits.ts';
import type { TenantRates } from '../domain/quotas/tenant-rates.ts';

/** `GET /v1/quotas` */
export function getQuotasRoute(rates: TenantRates, stored: StoredLimits): Route {
  return route(getQuotas, ({ tenant }) => {
    const states = [...rates.stateOf(tenant), ...stored.stateOf(tenant)];
    const quotas = states.map(({ limit, value, used }) => ({
      limit,
      ...(value === undefined ? {} : { value }),
      used,
    }));
    return ok({ tenant, quotas } satisfies Quotas);
  });
}
