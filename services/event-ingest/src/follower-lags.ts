import type { LogBounds } from '@memplane/event-log';
import type { Invoker, Logger } from '@memplane/runtime';
import { InstanceFigures } from './domain/instance-figures.ts';
import { INDEX, LagThrottle, VIEWS } from './domain/lag-throttle.ts';
import { ServicePoll, type Told } from './service-poll.ts';

export interface FollowerLagsOptions {
  readonly invoker: Invoker;
  readonly logger: Logger;
  readonly log: {
    readonly info: { readonly partitions: number };
    bounds(partition: number): Promise<LogBounds>;
  };
  readonly lagPollMs: number;
  /** 0: no bound, as of the other. */
  readonly view_lag_events_max: number;
  readonly index_lag_events_max: number;
}

/**
 * Knows how far views and index are behind the log, by asking now and then, and slows appends down
 * before they fall hours behind. While one does not answer, its last figure counts.
 */
export class FollowerLags {
  readonly #options: FollowerLagsOptions;
  readonly #views: LagThrottle;
  readonly #index: LagThrottle;
  readonly #viewFigures = new InstanceFigures();
  readonly #indexFigures = new InstanceFigures();
  /** Of those that have a bound. */
  readonly #polls: readonly ServicePoll[];

  constructor(options: FollowerLagsOptions) {
    this.#options = options;
    this.#views = new LagThrottle(VIEWS, options.view_lag_events_max);
    this.#index = new LagThrottle(INDEX, options.index_lag_events_max);
    const { lagPollMs: pollMs, view_lag_events_max, index_lag_events_max } = options;
    const views = (told: Told) => this.#takeViews(told);
    const index = (told: Told) => this.#takeIndex(told);
    this.#polls = [
      { max: view_lag_events_max, service: 'materializer' as const, take: views },
      { max: index_lag_events_max, service: 'vector-index' as const, take: index },
    ]
      .filter(({ max }) => max > 0)
      .map(({ service, take }) => new ServicePoll({ ...options, pollMs, service, take }));
  }

  get viewLagEvents(): number {
    return this.#views.lagEvents;
  }

  get indexLagEvents(): number {
    return this.#index.lagEvents;
  }

  /** The part of the appends that is refused, from 0 to 1. */
  get refusedPart(): number {
    return Math.max(this.#views.part, this.#index.part);
  }

  start(): void {
    for (const poll of this.#polls) poll.start();
  }

  stop(): void {
    for (const poll of this.#polls) poll.stop();
  }

  /** To be asked once for each append. @throws MemplaneError `views_behind`, `index_behind` */
  check(): void {
    this.#views.check(this.#options.lagPollMs);
    this.#index.check(this.#options.lagPollMs);
  }

  #takeViews({ lag, instance }: Told): void {
    if (!isCount(lag)) return;
    this.#viewFigures.take(instance, lag);
    this.#views.record(this.#viewFigures.sum);
  }

  async #takeIndex({ appliedOffsets, instance }: Told): Promise<void> {
    if (!Array.isArray(appliedOffsets)) return;
    const { log } = this.#options;
    const lags = appliedOffsets.slice(0, log.info.partitions).map(async (applied, partition) => {
      const { start, end } = await log.bounds(partition);
      // What the log has no more comes from the archive, and is behind all the same.
      return Number.isInteger(applied) ? Math.max(0, end - 1 - applied) : end - start;
    });
    let lag = 0;
    for (const one of await Promise.all(lags)) lag += one;
    this.#indexFigures.take(instance, lag);
    this.#index.record(this.#indexFigures.max);
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
