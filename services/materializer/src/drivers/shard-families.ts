import { type LogReader, lineOf } from '@memplane/event-log';

/**
 * Prepares shards for being opened, in a log that grew: each after those that it came out of, and one
 * of a family at a time, since preparing a shard may write its children.
 */
export class ShardFamilies {
  readonly #log: Pick<LogReader, 'info'>;
  readonly #prepare: (partition: number) => Promise<void>;
  /** By the partition that a family began with: the last work on it. */
  readonly #work = new Map<number, Promise<void>>();

  /** @param prepare brings what the store has of a shard to the log's epoch; may be repeated */
  constructor(log: Pick<LogReader, 'info'>, prepare: (partition: number) => Promise<void>) {
    this.#log = log;
    this.#prepare = prepare;
  }

  prepare(partition: number): Promise<void> {
    const { lineage } = this.#log.info;
    const line = lineage === undefined ? [partition] : lineOf(lineage, partition).reverse();
    const [root = partition] = line;
    const before = this.#work.get(root) ?? Promise.resolve();
    const done = before.catch(() => {}).then(() => this.#prepareAll(line));
    this.#work.set(root, done);
    return done;
  }

  async #prepareAll(line: readonly number[]): Promise<void> {
    for (const partition of line) await this.#prepare(partition);
  }
}
