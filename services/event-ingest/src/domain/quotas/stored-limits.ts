import {
  AUDIT_TENANT,
  type CloudEvent,
  MemplaneError,
  STORED_LIMITS,
  type StoredLimit,
  type TenantUsage,
} from '@memplane/contracts';
import type { PreparedEvent } from '../prepare.ts';

/** What a tenant may have stored; absent: without a limit. */
export type StoredQuotas = { readonly [limit in StoredLimit]?: number | undefined };

export interface StoredState {
  readonly limit: StoredLimit;
  readonly value: number | undefined;
  readonly used: number;
}

type Added = Pick<PreparedEvent, 'value'>;

const USED: Readonly<Record<StoredLimit, keyof TenantUsage>> = {
  events_total_max: 'eventsTotal',
  memories_max: 'memories',
  state_bytes_max: 'stateBytes',
};

/**
 * Holds tenants to what they may have stored, by what the views told last. A request passes whole while
 * anything of a limit is left, so that what is over it in the end is what was appended until the views
 * had applied it and told. What surely makes a tenant's state no larger passes beyond its limits too.
 */
export class StoredLimits {
  readonly #quotasOf: (tenant: string) => StoredQuotas;
  #usages: ReadonlyMap<string, TenantUsage> = new Map();

  constructor(quotasOf: (tenant: string) => StoredQuotas) {
    this.#quotasOf = quotasOf;
  }

  /** Tenants that are known to have anything; the audit has no limits. */
  get tenants(): string[] {
    return [...this.#usages.keys()].filter((tenant) => tenant !== AUDIT_TENANT);
  }

  /** What the views tell of all tenants. */
  record(usages: ReadonlyMap<string, TenantUsage>): void {
    this.#usages = usages;
  }

  /**
   * @param fieldOf how problems name an event
   * @throws MemplaneError `stored_quota_exceeded` with the limit
   */
  check(tenant: string, events: readonly Added[], fieldOf: (index: number) => string): void {
    const usage = this.#usages.get(tenant);
    if (usage === undefined || tenant === AUDIT_TENANT) return;
    const quotas = this.#quotasOf(tenant);
    for (const limit of STORED_LIMITS) {
      const value = quotas[limit];
      const used = usage[USED[limit]];
      if (value === undefined || used < value) continue;
      // Events are parsed only here, where most are refused.
      const index = events.findIndex((event) => adds(event, limit));
      if (index >= 0) throw exceeded(limit, value, used, fieldOf(index));
    }
  }

  /** All limits, those too that are not set. */
  stateOf(tenant: string): StoredState[] {
    const usage = this.#usages.get(tenant);
    const quotas = this.#quotasOf(tenant);
    return STORED_LIMITS.map((limit) => ({
      limit,
      value: quotas[limit],
      used: usage?.[USED[limit]] ?? 0,
    }));
  }
}

/** Whether an event may add to what a limit is about. */
function adds({ value }: Added, limit: StoredLimit): boolean {
  if (limit === 'events_total_max') return true;
  const { memory, attributes } = (JSON.parse(value.toString()) as CloudEvent).data;
  if (memory !== undefined && !('forgotten' in memory)) return true;
  if (limit === 'memories_max' || attributes === undefined) return false;
  return Object.values(attributes).some((one) => one !== null);
}

function exceeded(limit: StoredLimit, value: number, used: number, field: string): MemplaneError {
  return new MemplaneError(
    'stored_quota_exceeded',
    `The tenant may not store more: ${limit} is ${value}, and ${used} are used.`,
    { field, extra: { limit, value, used } },
  );
}
