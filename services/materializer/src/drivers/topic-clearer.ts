import { partitionKey } from '@memplane/contracts';
import { type Logger, pause } from '@memplane/runtime';
import { isTopicDue } from '../domain/clearing.ts';
import { type ErasedAt, PublishedContent } from '../domain/published-content.ts';
import type { Compaction, OpenViewTopic } from '../domain/publishing.ts';
import type { Shard } from '../shard.ts';
import { BackgroundLoop } from './background-loop.ts';
import { clearingsOf, type ShardClearing, saveClearing } from './clearing-rows.ts';
import type { ViewPublisher } from './view-publisher.ts';
import type { ViewStore } from './view-store.ts';

export interface TopicClearerPorts {
  readonly store: ViewStore;
  readonly logId: string;
  /** Those that are here. */
  readonly shards: Iterable<Shard>;
  readonly views: Pick<ViewPublisher, 'sendAgain' | 'publishedOf'>;
  /** Resolves with undefined where there is no topic. */
  readonly open: () => Promise<OpenViewTopic | undefined>;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface TopicClearerSettings {
  readonly erasureTopicTickMs: number;
  /** By then no message is under way any more that was given up, or sent by an earlier owner. */
  readonly viewsRepeatDelayMs: number;
}

/**
 * Sees to it that the compacted topic of views loses what was said of erased entities. Their newest
 * messages have no content since they are erased, but the topic's last segment is never compacted, and
 * ends only by another message. So their views are sent again once the older messages are due to be
 * compacted, until none of them is found in the topic any more.
 */
export class TopicClearer extends BackgroundLoop {
  readonly #ports: TopicClearerPorts;
  readonly #settings: TopicClearerSettings;
  /** By erasure: since when nothing is found of it, in ms since 1970. */
  readonly #gone = new Map<string, number>();

  constructor(ports: TopicClearerPorts, settings: TopicClearerSettings) {
    super();
    this.#ports = ports;
    this.#settings = settings;
  }

  protected async run(): Promise<void> {
    const signal = this.stopping;
    while (!signal.aborted) {
      try {
        await this.tick();
      } catch (err) {
        if (signal.aborted) return;
        this.#ports.logger.warn({ err }, 'the topic of views is looked through later');
      }
      await pause(this.#settings.erasureTopicTickMs, signal);
    }
  }

  /** Looks after what is due by now. @throws MemplaneError what topic and store throw */
  async tick(): Promise<void> {
    const { store, shards, open, views, logger } = this.#ports;
    const published = (await clearingsOf(store, shards, isTopicDue)).filter(
      ({ shard, clearing }) => views.publishedOf(shard) >= clearing.offset,
    );
    const ids = new Set(published.map(idOf));
    for (const id of this.#gone.keys()) if (!ids.has(id)) this.#gone.delete(id);
    if (published.length === 0) return;
    await using topic = await open();
    if (topic === undefined) return await this.#clear(published);
    const compaction = await topic.compaction();
    if (compaction.lagMsMax === Number.POSITIVE_INFINITY) {
      logger.warn({ erasures: published.length }, 'nothing bounds the compaction of memory-views');
      return;
    }
    const due = published.filter((one) => this.#isDue(one, compaction));
    if (due.length > 0) await this.#look(due, topic);
  }

  /** Before that it can't be gone, or has just gone: looking reads the topic from end to end. */
  #isDue(one: ShardClearing, compaction: Compaction): boolean {
    const goneAtMs = this.#gone.get(idOf(one));
    const { clearedAtMs = 0 } = one.clearing;
    const dueAtMs =
      goneAtMs === undefined
        ? clearedAtMs + compaction.lagMsMax
        : goneAtMs + this.#settleMs(compaction);
    return this.#ports.now() >= dueAtMs;
  }

  /** Nothing late comes any more after it, and the replaced files are removed. */
  #settleMs({ fileDeleteDelayMs }: Compaction): number {
    return fileDeleteDelayMs + this.#settings.viewsRepeatDelayMs;
  }

  async #look(due: readonly ShardClearing[], topic: OpenViewTopic): Promise<void> {
    const { logId, views, now } = this.#ports;
    const content = new PublishedContent(new Map(due.map((one) => [keyOf(one), atOf(logId, one)])));
    for await (const messages of topic.records()) {
      this.stopping.throwIfAborted();
      content.add(messages);
    }
    const cleared: ShardClearing[] = [];
    for (const one of due) {
      const id = idOf(one);
      if (content.left(keyOf(one)) > 0) {
        this.#gone.delete(id);
        views.sendAgain(one.shard, [keyOf(one)]);
      } else if (this.#gone.has(id)) cleared.push(one);
      else this.#gone.set(id, now());
    }
    await this.#clear(cleared);
  }

  async #clear(cleared: readonly ShardClearing[]): Promise<void> {
    const { store, now } = this.#ports;
    for (const one of cleared) {
      await saveClearing(store, { ...one, clearing: { ...one.clearing, topicClearedAtMs: now() } });
      this.#gone.delete(idOf(one));
    }
  }
}

function keyOf({ tenant, entity }: ShardClearing): string {
  return partitionKey(tenant, entity);
}

function idOf(one: ShardClearing): string {
  return `${keyOf(one)} ${one.clearing.offset}`;
}

function atOf(logId: string, { shard, clearing }: ShardClearing): ErasedAt {
  return { logId, partition: shard.partition, offset: clearing.offset };
}
