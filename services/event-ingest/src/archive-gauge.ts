import { MemplaneError } from '@memplane/contracts';
import type { Invoker, Logger } from '@memplane/runtime';
import { InstanceFigures } from './domain/instance-figures.ts';
import { ServicePoll, type Told } from './service-poll.ts';

export interface ArchiveGaugeOptions {
  readonly invoker: Invoker;
  readonly logger: Logger;
  readonly pollMs: number;
  /** 0: no bound. */
  readonly archive_lag_bytes_max: number;
}

/**
 * Knows how far the archive is behind the log, by asking the materializer now and then. Each of its
 * instances knows of the shards that it owns, and it is by chance which one answers: the sum counts.
 * While none answers, the last figure counts: appends do not depend on it.
 */
export class ArchiveGauge {
  readonly #options: ArchiveGaugeOptions;
  readonly #figures = new InstanceFigures();
  readonly #poll: ServicePoll;

  constructor(options: ArchiveGaugeOptions) {
    this.#options = options;
    this.#poll = new ServicePoll({
      ...options,
      service: 'materializer',
      take: (told) => this.#take(told),
    });
  }

  get lagBytes(): number {
    return this.#figures.sum;
  }

  get behind(): boolean {
    const max = this.#options.archive_lag_bytes_max;
    return max > 0 && this.lagBytes > max;
  }

  start(): void {
    if (this.#options.archive_lag_bytes_max > 0) this.#poll.start();
  }

  stop(): void {
    this.#poll.stop();
  }

  /** @throws MemplaneError `archive_behind` */
  check(): void {
    if (!this.behind) return;
    const max = this.#options.archive_lag_bytes_max;
    throw new MemplaneError(
      'archive_behind',
      `The archive is ${this.lagBytes} bytes behind the log; at most ${max}.`,
      { retryAfterMs: this.#options.pollMs, extra: { limit: 'archive_lag_bytes_max', max } },
    );
  }

  #take({ archiveLagBytes: lagBytes, instance }: Told): void {
    if (typeof lagBytes !== 'number' || !Number.isFinite(lagBytes)) return;
    this.#figures.take(instance, lagBytes);
  }
}
