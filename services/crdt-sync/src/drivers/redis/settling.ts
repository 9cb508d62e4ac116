import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisConnection, Session } from './connection.ts';
import { unavailable } from './redis-error.ts';
import { bytes } from './replies.ts';

/** With `everysec` Redis begins to sync this long after the last time, at the latest. */
const SYNC_INTERVAL_MS = 1_000;
const POLL_MS = 20;
/** A disk that takes longer is as good as none. */
const SETTLE_TIMEOUT_MS = 10_000;

/** What Redis says of its AOF. */
interface AofFacts {
  /** The server's clock. */
  readonly atMs: number;
  /** Syncs that are under way. */
  readonly pending: number;
  /** Counts the files that were begun. */
  readonly rewrites: string;
  /** All that was appended, by its length. */
  readonly mark: string;
}

/**
 * Waits until what was read from a Redis is on its disk.
 *
 * With `always` every answer is given after the sync of all that it may show. With `everysec` Redis
 * tells neither what it has synced nor that it did; but it says whether a sync is under way. Where
 * none is, all that was appended before is in the file, or goes there at the end of that turn of the
 * server's loop, and the next sync covers it. That begins within a second; so when the server's clock
 * has gone on by as much, and after one more turn none is under way again, it is done.
 *
 * `WAITAOF` (Redis 7.2) waits as long, for what its own connection has written, and holds up all
 * that follows on it.
 */
export class Settling {
  readonly #redis: RedisConnection;
  /** What is known to be on disk. */
  #settled: string | undefined;

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  /** @throws MemplaneError `storage_unavailable` where it can not be known, or the values are gone */
  async settle(): Promise<void> {
    const { session } = this.#redis;
    if (session !== undefined && session.facts.appendfsync !== 'always') {
      await this.#untilSynced(session);
    }
    await this.#redis.confirm();
  }

  async #untilSynced(session: Session): Promise<void> {
    const deadlineMs = performance.now() + SETTLE_TIMEOUT_MS;
    let from: AofFacts | undefined;
    let hasBegun = false;
    while (performance.now() < deadlineMs) {
      const seen = await this.#look(session);
      if (seen.mark === this.#settled) return;
      if (from?.rewrites !== seen.rewrites) {
        from = undefined;
        hasBegun = false;
      }
      if (from !== undefined && hasBegun && seen.pending === 0) {
        this.#settled = from.mark;
        return;
      }
      if (seen.pending === 0) from ??= seen;
      hasBegun ||= from !== undefined && seen.atMs - from.atMs >= SYNC_INTERVAL_MS;
      const isWaiting = from !== undefined && !hasBegun;
      const leftMs = isWaiting ? SYNC_INTERVAL_MS - (seen.atMs - (from?.atMs ?? 0)) : 0;
      await sleep(Math.max(POLL_MS, leftMs));
    }
    throw unavailable(`Redis did not sync its AOF within ${SETTLE_TIMEOUT_MS} ms.`);
  }

  async #look(session: Session): Promise<AofFacts> {
    const text = bytes(await this.#redis.command(['INFO', 'server', 'persistence'])).toString();
    if (this.#redis.session !== session) throw unavailable('Redis was lost.');
    const info = new Map<string, string>();
    for (const line of text.split('\r\n')) {
      const colon = line.indexOf(':');
      if (colon > 0) info.set(line.slice(0, colon), line.slice(colon + 1));
    }
    const number = (name: string) => Number(info.get(name));
    if (info.get('aof_enabled') !== '1' || info.get('aof_last_write_status') !== 'ok') {
      throw unavailable('Redis does not write its AOF.');
    }
    const rewrites = info.get('aof_rewrites') ?? '';
    const length = number('aof_current_size') + number('aof_buffer_length');
    return {
      atMs: number('server_time_usec') / 1_000,
      pending: number('aof_pending_bio_fsync'),
      rewrites,
      mark: [session.number, rewrites, info.get('aof_base_size'), length].join(' '),
    };
  }
}
