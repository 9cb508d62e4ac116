import { MemplaneError, type ServiceName } from '@memplane/contracts';
import type { Invoker, Logger } from '@memplane/runtime';

/** What a service tells of itself; nothing of it is checked yet. */
export interface Told {
  readonly [field: string]: unknown;
}

export interface ServicePollOptions {
  readonly invoker: Invoker;
  readonly logger: Logger;
  readonly service: ServiceName;
  /** Where it tells; default `/readyz`. */
  readonly path?: string;
  readonly pollMs: number;
  readonly take: (told: Told) => Promise<void> | void;
}

const TIMEOUT_MS_MAX = 2_000;

/** Asks a service now and then for what it tells of itself. While it does not answer nothing is taken. */
export class ServicePoll {
  readonly #options: ServicePollOptions;
  readonly #ending = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ServicePollOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setTimeout(() => void this.#poll(), this.#options.pollMs).unref();
  }

  stop(): void {
    this.#ending.abort(new MemplaneError('shutting_down', 'The service is ending.'));
    clearTimeout(this.#timer);
  }

  async #poll(): Promise<void> {
    const { invoker, logger, service, path = '/readyz', pollMs, take } = this.#options;
    try {
      const answer = await invoker.invoke(service, 'GET', path, {
        timeoutMs: Math.min(pollMs, TIMEOUT_MS_MAX),
        signal: this.#ending.signal,
      });
      await take((answer ?? {}) as Told);
    } catch (error) {
      logger.debug({ err: error }, `${service} does not tell how far it is`);
    }
    if (!this.#ending.signal.aborted) this.start();
  }
}
