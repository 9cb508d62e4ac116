import type { LogReader, SoleOwner } from '@memplane/event-log';
import { type Logger, pause } from '@memplane/runtime';
import { BackgroundLoop } from './background-loop.ts';

/** How often the log is looked at for whether it has grown, in milliseconds. */
const GROWTH_LOOK_MS = 100;

export interface GrowthWatchPorts {
  readonly log: Pick<LogReader, 'info'>;
  readonly owner: SoleOwner;
  /** Resolves when all that has been assigned so far is open. */
  readonly opened: () => Promise<void>;
  readonly logger: Logger;
}

/**
 * Brings the shards to the epoch of the log whenever it has grown, one after the other. What is left
 * when it is stopped goes on at the next start.
 */
export class GrowthWatch extends BackgroundLoop {
  readonly #ports: GrowthWatchPorts;

  constructor(ports: GrowthWatchPorts) {
    super();
    this.#ports = ports;
  }

  protected async run(): Promise<void> {
    const { log, owner, opened, logger } = this.#ports;
    const signal = this.stopping;
    while (!signal.aborted) {
      const { epoch, partitions } = log.info;
      if (partitions > owner.partitions) {
        const startedAt = performance.now();
        // What can't be split yet is tried again by who opens it; the others go on.
        await owner.grow(partitions, () => opened().catch(() => {}), signal);
        const tookMs = Math.round(performance.now() - startedAt);
        logger.info({ epoch, partitions, tookMs }, 'the log has grown, and so have the views');
      }
      await pause(GROWTH_LOOK_MS, signal);
    }
  }
}
