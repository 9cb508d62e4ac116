import type { PartitionAssignment } from '@memplane/event-log';
import { type Logger, pause } from '@memplane/runtime';
import type { ShardSet } from '../shard-set.ts';
import { BackgroundLoop } from './background-loop.ts';

export interface OffsetReporterPorts {
  readonly ownership: Pick<PartitionAssignment, 'commit'>;
  readonly shards: ShardSet;
  readonly logger: Logger;
  readonly intervalMs: number;
}

/**
 * Leaves what is applied with the group now and then, so that Kafka's own tools show how far behind
 * the shards are. Nobody reads it back: a shard goes by the offset in its store.
 */
export class OffsetReporter extends BackgroundLoop {
  readonly #ports: OffsetReporterPorts;
  #failing = false;

  constructor(ports: OffsetReporterPorts) {
    super();
    this.#ports = ports;
  }

  protected async run(): Promise<void> {
    const { intervalMs, logger } = this.#ports;
    const signal = this.stopping;
    while (!signal.aborted) {
      await pause(intervalMs, signal);
      try {
        await this.#report();
        this.#failing = false;
      } catch (error) {
        if (!this.#failing) logger.warn({ err: error }, 'the group does not take applied offsets');
        this.#failing = true;
      }
    }
  }

  async #report(): Promise<void> {
    const { ownership, shards } = this.#ports;
    const owned = [...shards].filter((shard) => shards.owns(shard) && shard.applied >= 0);
    if (owned.length === 0) return;
    await ownership.commit(new Map(owned.map((shard) => [shard.partition, shard.applied + 1])));
  }
}
