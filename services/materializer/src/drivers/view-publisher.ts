import type { Logger } from '@memplane/runtime';
import type { Counter } from '@opentelemetry/api';
import type { ViewTopic } from '../domain/publishing.ts';
import type { Plane } from '../reads/plane.ts';
import type { Shard } from '../shard.ts';
import { ShardPublishing } from './shard-publishing.ts';
import { Slots } from './slots.ts';

export interface ViewPublisherSettings {
  /** Bytes of views that are read and sent at once. */
  readonly views_publish_bytes_max: number;
  /** A view of more is sent without its content. */
  readonly view_message_bytes_max: number;
  /** Shards that publish at once. */
  readonly views_publishes_at_once_max: number;
  readonly viewsPublishIntervalMs: number;
  readonly viewsPublishTimeoutMs: number;
  /** The longest pause after failures. */
  readonly viewsPublishRetryMsMax: number;
  /** By then nothing that was given up, or sent by an earlier owner, is under way any more. */
  readonly viewsRepeatDelayMs: number;
  /** How far before its beginning an owner sends again what changed. */
  readonly viewsRepeatWindowMs: number;
}

export interface ViewPublisherPorts {
  readonly plane: Plane;
  readonly topic: ViewTopic;
  readonly logger: Logger;
  /** Views by `outcome`. */
  readonly views: Counter;
}

/** Publishes the changed views of the shards that are here, each shard's in its own order. */
export class ViewPublisher {
  readonly #ports: ViewPublisherPorts;
  readonly #settings: ViewPublisherSettings;
  readonly #slots: Slots;
  readonly #open = new Map<Shard, ShardPublishing>();

  constructor(ports: ViewPublisherPorts, settings: ViewPublisherSettings) {
    this.#ports = ports;
    this.#settings = settings;
    this.#slots = new Slots(settings.views_publishes_at_once_max);
  }

  add(shard: Shard): void {
    const publishing = new ShardPublishing(shard, this.#ports, this.#settings, this.#slots);
    this.#open.set(shard, publishing);
    publishing.start();
  }

  /** Something of the shard has changed. */
  notify(shard: Shard): void {
    this.#open.get(shard)?.notify();
  }

  /** Sends views of a shard that is here once more, by the partition keys of their entities. */
  sendAgain(shard: Shard, keys: Iterable<string>): void {
    this.#open.get(shard)?.sendAgain(keys);
  }

  /** Up to which offset the changes of a shard are published, inclusive; −1: nothing, or not here. */
  publishedOf(shard: Shard): number {
    return this.#open.get(shard)?.published ?? -1;
  }

  /** Resolves when what is under way has ended; nothing is sent after. */
  async remove(shard: Shard): Promise<void> {
    await this.#open.get(shard)?.stop();
    this.#open.delete(shard);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((shard) => this.remove(shard)));
  }

  /** Events whose changes are applied and not published, of a shard. */
  lagOf(shard: Shard): number {
    return this.#open.get(shard)?.lag ?? 0;
  }
}
