import { MemplaneError } from '@memplane/contracts';
import type { LogReader, Ownership, OwnershipListener } from '@memplane/event-log';
import { type Logger, pause } from '@memplane/runtime';
import type { ShardRecord } from '../domain/shard-record.ts';
import { Shard, type WaitLimit } from '../shard.ts';
import type { ShardSet } from '../shard-set.ts';
import type { Follower } from './follower.ts';

export interface ShardHostPorts {
  readonly log: LogReader;
  readonly shards: ShardSet;
  readonly limit: WaitLimit;
  readonly follower: Pick<Follower, 'add' | 'remove'>;
  /** What to begin with: the store's own rows, or a snapshot that is further. */
  readonly load: (partition: number) => Promise<ShardRecord>;
  /**
   * Whether others may have owned the partitions before: then a shard answers only once it is as
   * far as they can have been.
   */
  readonly isShared: boolean;
  /** A shard has come. */
  readonly onOpened: (shard: Shard) => void;
  readonly logger: Logger;
}

/** One time that a partition is owned. */
interface Tenure {
  readonly ownership: Ownership;
  readonly ending: AbortController;
  /** How the first attempt to open the shard ends. */
  readonly tried: PromiseWithResolvers<void>;
  shard?: Shard;
}

const OPEN_RETRY_MS_MAX = 5_000;

/**
 * Opens and closes shards as the ownership of their partitions comes and goes. Of one partition
 * everything happens in order: what is opened anew begins when the former work on it has ended.
 *
 * What the store has of a partition may be from an earlier time, with other owners in between. It
 * is a right beginning all the same: rows and offset were written together, they are a function of
 * the log up to that offset, and the log is the same and has not become shorter.
 */
export class ShardHost implements OwnershipListener {
  readonly #ports: ShardHostPorts;
  readonly #tenures = new Map<number, Tenure>();
  /** The last work on each partition. */
  readonly #work = new Map<number, Promise<void>>();

  constructor(ports: ShardHostPorts) {
    this.#ports = ports;
  }

  /** Returns at once: a shard that takes long to open must not hold up the others' hand-over. */
  onAssigned(owned: readonly Ownership[]): void {
    for (const ownership of owned) {
      const tried = Promise.withResolvers<void>();
      tried.promise.catch(() => {}); // it is tried again
      const tenure: Tenure = { ownership, ending: new AbortController(), tried };
      // One that was lost while this process was asleep may come back before the loss is heard of.
      const before = this.#tenures.get(ownership.partition);
      if (before !== undefined) void this.#end(before.ownership);
      this.#tenures.set(ownership.partition, tenure);
      this.#then(ownership.partition, () => this.#open(tenure));
    }
  }

  /** Resolves when nothing is written any more. */
  async onRevoked(owned: readonly Ownership[]): Promise<void> {
    await Promise.all(owned.map((ownership) => this.#end(ownership)));
  }

  onLost(owned: readonly Ownership[]): void {
    for (const ownership of owned) void this.#end(ownership);
  }

  /** Resolves when all that has been assigned so far is open. @throws why one can't be, at first */
  async opened(): Promise<void> {
    await Promise.all([...this.#tenures.values()].map(({ tried }) => tried.promise));
  }

  /** From now on nothing of the partition is answered. */
  #end({ partition, epoch }: Ownership): Promise<void> {
    const tenure = this.#tenures.get(partition);
    if (tenure?.ownership.epoch !== epoch) return Promise.resolve();
    this.#tenures.delete(partition);
    tenure.ending.abort();
    const { shard } = tenure;
    // A shard that is only being opened has nothing under way that anybody could see.
    if (shard === undefined) return Promise.resolve();
    shard.close();
    this.#ports.shards.remove(shard);
    return this.#then(partition, () => this.#ports.follower.remove(shard));
  }

  #then(partition: number, work: () => Promise<void>): Promise<void> {
    const done = (this.#work.get(partition) ?? Promise.resolve()).then(work);
    this.#work.set(partition, done);
    return done;
  }

  async #open(tenure: Tenure): Promise<void> {
    const { partition } = tenure.ownership;
    const { signal } = tenure.ending;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await this.#tryToOpen(tenure);
        break;
      } catch (error) {
        tenure.tried.reject(error);
        if (failures === 0) {
          this.#ports.logger.error({ err: error, partition }, 'a shard can not be opened yet');
        }
        await pause(Math.min(OPEN_RETRY_MS_MAX, 100 * 2 ** Math.min(failures, 10)), signal);
      }
    }
    tenure.tried.resolve();
  }

  async #tryToOpen(tenure: Tenure): Promise<void> {
    const { log, shards, limit, follower, load, isShared, onOpened } = this.#ports;
    const { partition, epoch } = tenure.ownership;
    const record = await load(partition);
    const { end } = await log.bounds(partition);
    if (record.applied >= end) {
      const message = `The log of partition ${partition} ends at ${end}, before what was applied.`;
      const extra = { partition, end, applied: record.applied };
      throw new MemplaneError('dependency_unavailable', message, { extra });
    }
    if (tenure.ending.signal.aborted) return;
    // Every earlier owner stopped before this ownership began: none has applied more than this.
    const owner = { ownerEpoch: epoch, ...(isShared ? { answersFrom: end - 1 } : {}) };
    const shard = new Shard(partition, record, owner, limit);
    tenure.shard = shard;
    shards.add(shard);
    follower.add(shard);
    onOpened(shard);
  }
}
