import { usageSchema } from '@memplane/contracts';
import type { Invoker, Logger } from '@memplane/runtime';
import type { StoredLimits } from './domain/quotas/stored-limits.ts';
import { ServicePoll, type Told } from './service-poll.ts';

export interface TenantUsagesOptions {
  readonly invoker: Invoker;
  readonly logger: Logger;
  readonly lagPollMs: number;
  readonly limits: StoredLimits;
}

/**
 * Knows what tenants have stored, by asking the materializer now and then; whichever instance answers
 * tells of all partitions. While it does not answer, what it told last counts.
 */
export class TenantUsages {
  readonly #limits: StoredLimits;
  readonly #poll: ServicePoll;

  constructor({ limits, lagPollMs: pollMs, ...options }: TenantUsagesOptions) {
    this.#limits = limits;
    this.#poll = new ServicePoll({
      ...options,
      service: 'materializer',
      path: '/v1/usage',
      pollMs,
      take: (told) => this.#take(told),
    });
  }

  start(): void {
    this.#poll.start();
  }

  stop(): void {
    this.#poll.stop();
  }

  #take(told: Told): void {
    const { tenants } = usageSchema.parse(told);
    this.#limits.record(new Map(Object.entries(tenants)));
  }
}
