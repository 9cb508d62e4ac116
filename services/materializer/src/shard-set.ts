import type { LogReader, PartitionAssignment } from '@memplane/event-log';
import { ownerMoving, type Shard } from './shard.ts';

/**
 * The shards that this instance has open. They come and go with the ownership of their partitions,
 * and one is only ever handed out while its ownership is sure at that very moment.
 */
export class ShardSet implements Iterable<Shard> {
  readonly #log: Pick<LogReader, 'info'>;
  readonly #ownership: Pick<PartitionAssignment, 'epochOf'>;
  readonly #open: (Shard | undefined)[];

  constructor(log: Pick<LogReader, 'info'>, ownership: Pick<PartitionAssignment, 'epochOf'>) {
    this.#log = log;
    this.#ownership = ownership;
    this.#open = Array.from({ length: log.info.partitions });
  }

  /** How many partitions the log has. */
  get partitions(): number {
    return this.#log.info.partitions;
  }

  add(shard: Shard): void {
    this.#open[shard.partition] = shard;
  }

  remove(shard: Shard): void {
    if (this.#open[shard.partition] === shard) this.#open[shard.partition] = undefined;
  }

  /** The shard of a partition, if it is surely this instance's and may answer. */
  get(partition: number): Shard | undefined {
    const shard = this.opened(partition);
    return shard?.hasCaughtUp === true ? shard : undefined;
  }

  /** The shard of a partition, if it is surely this instance's: it may still be catching up. */
  opened(partition: number): Shard | undefined {
    const shard = this.#open[partition];
    return shard !== undefined && this.owns(shard) ? shard : undefined;
  }

  /** @throws MemplaneError `owner_moving` when it is not surely this instance's, or not caught up */
  at(partition: number): Shard {
    const shard = this.get(partition);
    if (shard !== undefined) return shard;
    if (partition >= this.partitions) throw new Error(`there is no partition ${partition}`);
    throw ownerMoving(partition);
  }

  /**
   * Finds the shards of some partitions, and gives a check that they are still this instance's:
   * both throw `owner_moving` when one is not.
   */
  hold(partitions: readonly number[]): () => void {
    const held = partitions.map((partition) => this.at(partition));
    return () => {
      for (const shard of held) if (!this.owns(shard)) throw ownerMoving(shard.partition);
    };
  }

  /** Whether a shard is still surely this instance's, under the ownership that opened it. */
  owns({ partition, ownerEpoch, state }: Shard): boolean {
    return state !== 'closed' && this.#ownership.epochOf(partition) === ownerEpoch;
  }

  /** Those that are open, sure or not, in the order of their partitions. */
  *[Symbol.iterator](): Iterator<Shard> {
    for (const shard of this.#open) if (shard !== undefined) yield shard;
  }

  /** All partitions' shards. @throws MemplaneError `owner_moving` when one is not here */
  all(): Shard[] {
    return Array.from({ length: this.partitions }, (_, partition) => this.at(partition));
  }
}
