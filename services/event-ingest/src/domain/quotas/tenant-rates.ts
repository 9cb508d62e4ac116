import { AUDIT_TENANT, MemplaneError, RATE_LIMITS, type RateLimit } from '@memplane/contracts';
import { TokenBucket } from './token-bucket.ts';

/** What a tenant may do in a second; absent: without a limit. */
export type TenantQuotas = { readonly [limit in RateLimit]?: number | undefined };

export interface QuotaState {
  readonly limit: RateLimit;
  readonly value: number | undefined;
  readonly used: number;
}

/** Tenants whose buckets are kept; beyond, the full ones are forgotten, which changes nothing. */
const TENANTS_MAX = 10_000;

/** How much of its rates each tenant has used. */
export class TenantRates {
  readonly #quotasOf: (tenant: string) => TenantQuotas;
  /** Milliseconds on a clock that never goes back. */
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, Map<RateLimit, TokenBucket>>();

  constructor(quotasOf: (tenant: string) => TenantQuotas, nowMs: () => number) {
    this.#quotasOf = quotasOf;
    this.#nowMs = nowMs;
  }

  /** Tenants that have used any of their rates. */
  get tenants(): string[] {
    return [...this.#buckets.keys()];
  }

  /** @throws MemplaneError `quota_exceeded` with the limit; then nothing is taken */
  take(tenant: string, amounts: Readonly<Record<RateLimit, number>>): void {
    // Who is refused would otherwise keep what refuses it from being told.
    if (tenant === AUDIT_TENANT) return;
    const buckets = this.#bucketsOf(tenant);
    const nowMs = this.#nowMs();
    for (const [limit, bucket] of buckets) {
      const waitMs = bucket.waitMs(nowMs);
      if (waitMs > 0) throw exceeded(limit, bucket.ratePerSecond, bucket.used(nowMs), waitMs);
    }
    for (const [limit, bucket] of buckets) bucket.take(amounts[limit]);
  }

  /** All limits, those too that are not set. */
  stateOf(tenant: string): QuotaState[] {
    const buckets = this.#buckets.get(tenant);
    const quotas = this.#quotasOf(tenant);
    return RATE_LIMITS.map((limit) => {
      const bucket = buckets?.get(limit);
      const value = quotas[limit];
      const isKept = bucket !== undefined && bucket.ratePerSecond === value;
      return { limit, value, used: isKept ? bucket.used(this.#nowMs()) : 0 };
    });
  }

  /** A rate that was changed begins anew. */
  #bucketsOf(tenant: string): ReadonlyMap<RateLimit, TokenBucket> {
    const quotas = this.#quotasOf(tenant);
    const known = this.#buckets.get(tenant);
    const isKept = RATE_LIMITS.every((limit) => known?.get(limit)?.ratePerSecond === quotas[limit]);
    if (known !== undefined && isKept) return known;
    const buckets = new Map<RateLimit, TokenBucket>();
    for (const limit of RATE_LIMITS) {
      const rate = quotas[limit];
      if (rate !== undefined) buckets.set(limit, new TokenBucket(rate, this.#nowMs()));
    }
    this.#buckets.delete(tenant);
    if (buckets.size === 0) return buckets;
    if (this.#buckets.size >= TENANTS_MAX) this.#forgetFull();
    this.#buckets.set(tenant, buckets);
    return buckets;
  }

  #forgetFull(): void {
    const nowMs = this.#nowMs();
    for (const [tenant, buckets] of this.#buckets) {
      if ([...buckets.values()].every((bucket) => bucket.used(nowMs) <= 0)) {
        this.#buckets.delete(tenant);
      }
    }
  }
}

function exceeded(limit: RateLimit, value: number, used: number, waitMs: number): MemplaneError {
  return new MemplaneError('quota_exceeded', `The tenant has used up its ${limit}: ${value}.`, {
    retryAfterMs: waitMs,
    extra: { limit, value, used },
  });
}
