import { MemplaneError, type ServiceName } from '@memplane/contracts';
import type { LogBounds } from '@memplane/event-log';
import type { Invoker, Logger } from '@memplane/runtime';
import { InstanceFigures } from './domain/instance-figures.ts';
import { INDEX, LagThrottle, VIEWS } from './domain/lag-throttle.ts';

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
  readonly #ending = new AbortController();
  readonly #views: LagThrottle;
  readonly #index: LagThrottle;
  readonly #viewFigures = new InstanceFigures();
  readonly #indexFigures = new InstanceFigures();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: FollowerLagsOptions) {
    this.#options = options;
    this.#views = new LagThrottle(VIEWS, options.view_lag_events_max);
    this.#index = new LagThrottle(INDEX, options.index_lag_events_max);
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
    this.#timer = setTimeout(() => void this.#poll(), this.#options.lagPollMs).unref();
  }

  stop(): void {
    this.#ending.abort(new MemplaneError('shutting_down', 'The service is ending.'));
    clearTimeout(this.#timer);
  }

  /** To be asked once for each append. @throws MemplaneError `views_behind`, `index_behind` */
  check(): void {
    this.#views.check(this.#options.lagPollMs);
    this.#index.check(this.#options.lagPollMs);
  }

  async #poll(): Promise<void> {
    const { view_lag_events_max, index_lag_events_max } = this.#options;
    await Promise.all([
      view_lag_events_max > 0 && this.#ask('materializer', (told) => this.#takeViews(told)),
      index_lag_events_max > 0 && this.#ask('vector-index', (told) => this.#takeIndex(told)),
    ]);
    if (!this.#ending.signal.aborted) this.start();
  }

  async #ask(service: ServiceName, take: (told: Told) => Promise<void> | void): Promise<void> {
    const { invoker, logger, lagPollMs } = this.#options;
    try {
      const answer = await invoker.invoke(service, 'GET', '/readyz', {
        timeoutMs: Math.min(lagPollMs, 2_000),
        signal: this.#ending.signal,
      });
      await take((answer ?? {}) as Told);
    } catch (error) {
      logger.debug({ err: error }, `${service} does not tell how far it is`);
    }
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

interface Told {
  readonly lag?: unknown;
  readonly appliedOffsets?: unknown;
  readonly instance?: unknown;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
