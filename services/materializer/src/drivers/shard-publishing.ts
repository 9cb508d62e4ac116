import { MemplaneError } from '@memplane/contracts';
import { pause } from '@memplane/runtime';
import { type ViewLine, viewWithoutContent } from '../domain/feed.ts';
import { PLANE, ShardKeys, toKey } from '../domain/keys.ts';
import {
  decodePublished,
  encodePublished,
  mergeRepetitions,
  type Repetition,
} from '../domain/publishing.ts';
import type { Shard } from '../shard.ts';
import { viewsOf, viewsSource } from './feed-sources.ts';
import type { Slots } from './slots.ts';
import type { ViewPublisherPorts, ViewPublisherSettings } from './view-publisher.ts';

const RETRY_MS_FIRST = 100;

/**
 * Publishes the changed views of one shard while it is here. The shard's timeline, written with its
 * state, is the outbox; a row beside it says how far it is sent. One message of an entity is under
 * way at a time, so that no two change places.
 *
 * What was given up may still arrive, late, and then the compacted topic would keep an old view. So
 * all that was or may have been sent since is sent again after a while: by an owner that could not
 * tell whether its own messages had arrived, and by each new owner for those before it. For that to
 * be little, an owner publishes nothing before it has caught up with the log as it found it.
 */
export class ShardPublishing {
  readonly #shard: Shard;
  readonly #ports: ViewPublisherPorts;
  readonly #settings: ViewPublisherSettings;
  readonly #slots: Slots;
  readonly #ending = new AbortController();
  readonly #row: Buffer;
  #published = -1;
  #repetition: Repetition | undefined;
  #failures = 0;
  /** Partition keys of entities whose views are to be sent once more. */
  readonly #again = new Set<string>();
  #changed = Promise.withResolvers<void>();
  #loop: Promise<void> = Promise.resolve();

  constructor(
    shard: Shard,
    ports: ViewPublisherPorts,
    settings: ViewPublisherSettings,
    slots: Slots,
  ) {
    this.#shard = shard;
    this.#ports = ports;
    this.#settings = settings;
    this.#slots = slots;
    this.#row = toKey(new ShardKeys(PLANE, shard.partition).published());
  }

  /** Up to which offset, inclusive. */
  get published(): number {
    return this.#published;
  }

  get lag(): number {
    return Math.max(0, this.#shard.applied - this.#published);
  }

  start(): void {
    this.#loop = this.#run();
  }

  notify(): void {
    this.#changed.resolve();
  }

  /** Sends the views of some entities once more, by their partition keys, though nothing changed. */
  sendAgain(keys: Iterable<string>): void {
    for (const key of keys) this.#again.add(key);
    this.notify();
  }

  /** Lets what is under way end: an answer that is not waited for could not be told from a loss. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    let isReady = false;
    while (!signal.aborted) {
      this.#changed = Promise.withResolvers<void>();
      try {
        if (!isReady) await this.#begin();
        isReady = true;
        await this.#repeat();
        await this.#sendAgain();
        await this.#pass(this.#published + 1, this.#shard.applied);
        this.#failures = 0;
        await this.#rest();
      } catch (error) {
        if (signal.aborted) return;
        await this.#failed(error);
      }
    }
  }

  /** Finds how far earlier owners have published, and catches up with the log. */
  async #begin(): Promise<void> {
    const { plane } = this.#ports;
    const { partition } = this.#shard;
    this.#published = decodePublished(await plane.store.rocks.get(this.#row));
    const { end } = await plane.log.bounds(partition);
    while (this.#shard.applied < end - 1) {
      const until = performance.now() + LONG_MS;
      await this.#shard.waitFor(end - 1, until, this.#ending.signal, 'patient');
    }
    const { viewsRepeatWindowMs, viewsRepeatDelayMs } = this.#settings;
    const recent = await plane.log.offsetSince(partition, plane.now() - viewsRepeatWindowMs);
    this.#plan({ from: Math.min(this.#published + 1, recent), delayMs: viewsRepeatDelayMs });
  }

  #plan({ from, delayMs }: { readonly from: number; readonly delayMs: number }): void {
    const repetition = { from, atMs: performance.now() + delayMs };
    this.#repetition = mergeRepetitions(this.#repetition, repetition);
  }

  /** Sends again what is due for it. */
  async #repeat(): Promise<void> {
    const due = this.#repetition;
    if (due === undefined || performance.now() < due.atMs) return;
    await this.#pass(due.from, Math.min(this.#published, this.#shard.applied));
    if (this.#repetition === due) this.#repetition = undefined;
  }

  async #sendAgain(): Promise<void> {
    const keys = [...this.#again].slice(0, KEYS_AT_ONCE_MAX);
    if (keys.length === 0) return;
    const lines = await viewsOf(this.#ports.plane, this.#shard.partition, keys);
    await this.#send(lines, this.#published + 1);
    for (const key of keys) this.#again.delete(key);
  }

  /** Publishes the newest views of what changed between two offsets, both included, and later. */
  async #pass(from: number, to: number): Promise<void> {
    const { plane } = this.#ports;
    const { partition } = this.#shard;
    const read = viewsSource(plane);
    for (let next = from; next <= to && !this.#ending.signal.aborted; ) {
      const { views_publish_bytes_max: bytesMax } = this.#settings;
      const step = await read(partition, next, bytesMax);
      await this.#send(step.lines, next);
      // The timeline ends where what is applied ends.
      next = step.next > next ? step.next : to + 1;
      if (next - 1 > this.#published) await this.#remember(next - 1);
    }
  }

  async #send(lines: readonly ViewLine[], from: number): Promise<void> {
    if (lines.length === 0) return;
    const { topic, views } = this.#ports;
    const { view_message_bytes_max: bytesMax, viewsPublishTimeoutMs: timeoutMs } = this.#settings;
    const messages = lines.map((line) => messageOf(line, bytesMax));
    try {
      await this.#slots.use(NOBODY_WAITS, async () => {
        // Asked when it is its turn, for that may have taken long.
        this.#ports.plane.shards.at(this.#shard.partition);
        await topic.publish(messages, timeoutMs);
      });
    } catch (error) {
      const outcome = error instanceof MemplaneError ? error.code : 'error';
      views.add(messages.length, { outcome });
      this.#plan({ from, delayMs: this.#settings.viewsRepeatDelayMs });
      throw error;
    }
    views.add(messages.length, { outcome: 'ok' });
  }

  async #remember(offset: number): Promise<void> {
    const { store, shards } = this.#ports.plane;
    this.#published = offset;
    // A row that is lost, or not written here any more, only makes for views that are sent twice.
    if (!shards.owns(this.#shard)) return;
    await store.rocks.write(store.rocks.batch().put(this.#row, encodePublished(offset)));
  }

  /** Waits for changes, or for the moment of a repetition. */
  async #rest(): Promise<void> {
    const { signal } = this.#ending;
    const { viewsPublishIntervalMs } = this.#settings;
    await pause(viewsPublishIntervalMs, signal);
    if (this.#shard.applied > this.#published || this.#again.size > 0) return;
    const waiting = new AbortController();
    const untilMs =
      this.#repetition === undefined ? LONG_MS : this.#repetition.atMs - performance.now();
    const timer = pause(
      Math.max(0, Math.min(untilMs, LONG_MS)),
      AbortSignal.any([signal, waiting.signal]),
    );
    await Promise.race([this.#changed.promise, timer]);
    waiting.abort();
  }

  async #failed(error: unknown): Promise<void> {
    const { partition } = this.#shard;
    if (this.#failures++ === 0) {
      this.#ports.logger.warn({ err: error, partition }, 'changed views wait to be published');
    }
    const { viewsPublishRetryMsMax } = this.#settings;
    const pauseMs = RETRY_MS_FIRST * 2 ** Math.min(this.#failures, 16);
    await pause(Math.min(viewsPublishRetryMsMax, pauseMs), this.#ending.signal);
  }
}

/** What is sealed leaves the services opened only to whoever asks them for it, never by a topic. */
function messageOf(line: ViewLine, bytesMax: number): ViewLine {
  if (line.isSealed) return viewWithoutContent(line, 'sealed');
  return line.json.length > bytesMax ? viewWithoutContent(line, 'tooLarge') : line;
}

/** Views that are sent once more in one message. */
const KEYS_AT_ONCE_MAX = 100;

const NOBODY_WAITS = { isAwaited: false };

/** Looks again after this, whatever happens. */
const LONG_MS = 60_000;
