import { MemplaneError } from '@memplane/contracts';

/** How many requests each tenant has under way: none takes all that a service can do. */
export class TenantShares {
  readonly #shareOf: () => number;
  /** Only of those that have any. */
  readonly #inflight = new Map<string, number>();

  constructor(shareOf: () => number) {
    this.#shareOf = shareOf;
  }

  /** @returns what is to be called once, at the end @throws MemplaneError `quota_exceeded` */
  enter(tenant: string): () => void {
    const count = this.#inflight.get(tenant) ?? 0;
    const max = this.#shareOf();
    if (count >= max) {
      throw new MemplaneError('quota_exceeded', `${max} requests of the tenant are under way.`, {
        retryAfterMs: 100,
        extra: { limit: 'tenant_inflight_requests_max', value: max, used: count, max },
      });
    }
    this.#inflight.set(tenant, count + 1);
    return () => this.#leave(tenant);
  }

  #leave(tenant: string): void {
    const left = (this.#inflight.get(tenant) ?? 1) - 1;
    if (left === 0) this.#inflight.delete(tenant);
    else this.#inflight.set(tenant, left);
  }
}
