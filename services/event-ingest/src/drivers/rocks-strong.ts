import { randomBytes } from 'node:crypto';
import { KeyWriter, RocksStore } from '@memplane/rocks';
import type { StrongRecord, StrongStore, Versioned, WriteOutcome } from '@memplane/runtime/strong';

const FORMAT_VERSION = 1;
/** Format version, key id (0: not encrypted), version. */
const VERSION_AT = 2;
const VERSION_BYTES = 12;
const VALUE_AT = VERSION_AT + VERSION_BYTES;

/**
 * The strong store of a plane with one ingest: RocksDB in a folder that one process has open. What is
 * done to one key is done one after the other, reads included, so that nobody sees what is not
 * durable yet; different keys do not wait for each other, and share the disk's syncs.
 */
export class RocksStrong implements StrongStore {
  readonly #rocks: RocksStore;
  readonly #keys = new KeyWriter();
  /** By key: the end of what is under way. */
  readonly #queues = new Map<string, Promise<unknown>>();

  private constructor(rocks: RocksStore) {
    this.#rocks = rocks;
  }

  /** @throws MemplaneError `storage_unavailable`, also when another process has it open */
  static async open(dir: string): Promise<RocksStrong> {
    return new RocksStrong(await RocksStore.open(dir, { writeBufferBytes: 4 * 1024 * 1024 }));
  }

  /** Syncs of the disk so far: fewer than writes where they overlap. */
  get syncRuns(): number {
    return this.#rocks.syncRuns;
  }

  get(key: string): Promise<Versioned | undefined> {
    return this.#inTurn(key, () => this.#read(key));
  }

  create(key: string, value: string): Promise<WriteOutcome> {
    return this.#inTurn(key, () => this.#writeIf(key, value, undefined));
  }

  compareAndSet(key: string, value: string, version: string): Promise<WriteOutcome> {
    return this.#inTurn(key, () => this.#writeIf(key, value, version));
  }

  delete(key: string, version: string): Promise<WriteOutcome> {
    return this.#inTurn(key, () => this.#writeIf(key, undefined, version));
  }

  async *records(prefix?: string): AsyncGenerator<StrongRecord> {
    const bounds = prefix === undefined ? {} : rangeOf(this.#keyOf(prefix));
    for await (const rows of this.#rocks.scan(bounds)) {
      for (const { key, value } of rows) yield { key: nameOf(key), value: decoded(value).value };
    }
  }

  purge(): Promise<void> {
    return this.#rocks.purge();
  }

  close(): Promise<void> {
    return this.#rocks.close();
  }

  #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(key);
    const turn = before === undefined ? work() : before.then(work, work);
    this.#queues.set(key, turn);
    const forget = () => {
      if (this.#queues.get(key) === turn) this.#queues.delete(key);
    };
    turn.then(forget, forget);
    return turn;
  }

  async #read(key: string): Promise<Versioned | undefined> {
    const row = await this.#rocks.get(this.#keyOf(key));
    if (row === null) return undefined;
    return decoded(row);
  }

  async #writeIf(
    key: string,
    value: string | undefined,
    version: string | undefined,
  ): Promise<WriteOutcome> {
    const before = await this.#read(key);
    if (before?.version !== version) return { kind: 'conflict' };
    // Random, so that a key that was removed and made again never has an earlier version.
    const next = randomBytes(VERSION_BYTES);
    const batch = this.#rocks.batch();
    if (value === undefined) batch.delete(this.#keyOf(key));
    else {
      const head = Buffer.from([FORMAT_VERSION, 0]);
      batch.put(this.#keyOf(key), Buffer.concat([head, next, Buffer.from(value)]));
    }
    try {
      await this.#rocks.write(batch, { sync: true });
    } catch (cause) {
      return { kind: 'unknown', cause };
    }
    return { kind: 'written', version: next.toString('base64url') };
  }

  /** `tenant.rest`: the tenant ends at the first point. */
  #keyOf(key: string): Buffer {
    const point = key.indexOf('.');
    if (point < 1) throw new RangeError(`a key of the strong store without a tenant: ${key}`);
    return this.#keys
      .begin(key.slice(0, point))
      .raw(Buffer.from(key.slice(point + 1)))
      .finish();
  }
}

/** All keys that begin with these bytes, the last of which is ASCII. */
function rangeOf(prefix: Buffer): { gte: Buffer; lt: Buffer } {
  const lt = Buffer.from(prefix);
  lt[lt.length - 1] = (lt.at(-1) ?? 0) + 1;
  return { gte: prefix, lt };
}

function decoded(row: Buffer): Versioned {
  if (row[0] !== FORMAT_VERSION) throw new Error(`a strong record has format ${row[0]}`);
  return {
    value: row.toString('utf8', VALUE_AT),
    version: row.toString('base64url', VERSION_AT, VALUE_AT),
  };
}

/** A zero byte ends the tenant, where the name has a point. */
function nameOf(key: Buffer): string {
  const end = key.indexOf(0);
  return `${key.toString('latin1', 0, end)}.${key.toString('utf8', end + 1)}`;
}
