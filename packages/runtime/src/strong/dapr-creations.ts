import { hash, randomUUID } from 'node:crypto';
import { MemplaneError } from '@memplane/contracts';
import type { StateOptions, StateValue } from '../dapr/state.ts';
import { type DaprStrongOptions, newSeed, noQuorum } from './dapr-strong.ts';

/** Keys that are being made at once, spread over so many records. */
const BUCKETS = 16;
const PAUSE_MS = 25;
/** Keys of one record that may be under way at once. */
const PENDING_MAX = 1_000;

interface Bucket {
  readonly format: 1;
  /** False until no instance can make the record anew any more. */
  readonly settled: boolean;
  /** Key under way → who makes it. */
  readonly pending: Readonly<Record<string, string>>;
  /** Of the last writer, who reads it back. */
  readonly mark: string;
}

interface FoundBucket {
  readonly bucket: Bucket;
  readonly etag: string;
}

/**
 * Makes keys of the component `strong`, which has no atomic way to: a write without an ETag first
 * looks whether the key is there, and then writes over what came in between. Made twice, a key could
 * lose what it holds. So whoever makes one first puts its name into a record (by ETag, which is
 * atomic), writes the seed, and takes the name out. A seed may be used when its name is not there:
 * then nobody writes it any more. A maker that is gone is followed by another one `settleMs` after
 * its entry was first seen, when what it told its sidecar is done or was given up. The records
 * themselves are made at the first start of a plane, and used `settleMs` later for the same reason.
 */
export class DaprCreations {
  readonly #options: DaprStrongOptions;
  readonly #call: StateOptions;
  #preparing: Promise<void> | undefined;

  constructor(options: DaprStrongOptions) {
    this.#options = options;
    this.#call = { timeoutMs: options.timeoutMs };
  }

  /** @throws MemplaneError `no_quorum`; may be called again */
  prepare(): Promise<void> {
    this.#preparing ??= Promise.all(
      Array.from({ length: BUCKETS }, (_, i) => this.#prepareBucket(bucketKey(i))),
    ).then(
      () => {},
      (cause: unknown) => {
        this.#preparing = undefined;
        throw cause;
      },
    );
    return this.#preparing;
  }

  /**
   * The ETag of the key's seed, once nobody can write the seed again; undefined where the key got its
   * first text meanwhile.
   * @param found the ETag of a seed that is there already
   * @throws MemplaneError `no_quorum`, `overloaded`
   */
  async seed(key: string, found: string | undefined): Promise<string | undefined> {
    await this.prepare();
    const name = bucketOf(key);
    if (found !== undefined) {
      const { bucket } = await this.#bucket(name);
      if (bucket.pending[key] === undefined) return found;
    }
    const me = await this.#enter(name, key);
    if (me !== undefined) await this.#make(name, key, me);
    const now = await this.#get(key);
    return now !== undefined && isSeedText(now.value) ? now.etag : undefined;
  }

  /** @returns the entry of this maker; undefined when another one has made the key */
  async #enter(name: string, key: string): Promise<string | undefined> {
    const { monotonicMs, settleMs, pause } = this.#options;
    const me = randomUUID();
    let other: { entry: string; sinceMs: number } | undefined;
    for (;;) {
      const found = await this.#bucket(name);
      const entry = found.bucket.pending[key];
      if (entry === me) return me;
      if (entry === undefined && (await this.#get(key)) !== undefined) return undefined;
      if (entry !== undefined) {
        if (other?.entry !== entry) other = { entry, sinceMs: monotonicMs() };
        if (monotonicMs() - other.sinceMs < settleMs) {
          await pause(PAUSE_MS);
          continue;
        }
      } else if (Object.keys(found.bucket.pending).length >= PENDING_MAX) {
        throw new MemplaneError('overloaded', 'Too many keys are being made.', {
          retryAfterMs: 500,
        });
      }
      await this.#change(name, found, { ...found.bucket.pending, [key]: me });
    }
  }

  async #make(name: string, key: string, me: string): Promise<void> {
    const { pause, settleMs } = this.#options;
    try {
      await this.#options.state.saveIf({ key, value: newSeed() }, undefined, this.#call);
    } catch {
      // It may be written yet: not after this.
      await pause(settleMs);
      if ((await this.#get(key)) === undefined) throw noQuorum(undefined);
    }
    for (;;) {
      const found = await this.#bucket(name);
      if (found.bucket.pending[key] !== me) return;
      const { [key]: _done, ...others } = found.bucket.pending;
      await this.#change(name, found, others);
    }
  }

  /** Tries to write; whether it has is seen by reading again. */
  async #change(
    name: string,
    { bucket, etag }: FoundBucket,
    pending: Bucket['pending'],
    settled = bucket.settled,
  ): Promise<void> {
    const value: Bucket = { format: 1, settled, pending, mark: randomUUID() };
    const item = { key: name, value: JSON.stringify(value) };
    const isWritten = await this.#options.state.saveIf(item, etag, this.#call).catch(() => false);
    if (!isWritten) await this.#options.pause(1 + Math.random() * PAUSE_MS);
  }

  async #prepareBucket(name: string): Promise<void> {
    const { state, pause, monotonicMs, settleMs } = this.#options;
    let sinceMs: number | undefined;
    for (;;) {
      const found = await this.#get(name);
      if (found === undefined) {
        const seed: Bucket = { format: 1, settled: false, pending: {}, mark: randomUUID() };
        await state
          .saveIf({ key: name, value: JSON.stringify(seed) }, undefined, this.#call)
          .catch(() => false);
        continue;
      }
      const bucket = bucketFrom(found.value);
      if (bucket.settled) return;
      sinceMs ??= monotonicMs();
      if (monotonicMs() - sinceMs < settleMs) await pause(PAUSE_MS * 4);
      else await this.#change(name, { bucket, etag: found.etag }, bucket.pending, true);
    }
  }

  async #bucket(name: string): Promise<FoundBucket> {
    const found = await this.#get(name);
    if (found === undefined) throw new Error(`strong: ${name} is gone`);
    return { bucket: bucketFrom(found.value), etag: found.etag };
  }

  async #get(key: string): Promise<StateValue | undefined> {
    try {
      return await this.#options.state.get(key, this.#call);
    } catch (cause) {
      throw noQuorum(cause);
    }
  }
}

function bucketFrom(value: unknown): Bucket {
  return JSON.parse(String(value)) as Bucket;
}

function bucketOf(key: string): string {
  return bucketKey(Number.parseInt(hash('sha256', key).slice(0, 6), 16) % BUCKETS);
}

const BUCKETS_PREFIX = 'default.creations.';

function bucketKey(number: number): string {
  return BUCKETS_PREFIX + number;
}

/** Whether a key of the component is none of the strong store's, but of what makes its keys. */
export function isOfCreations(key: string): boolean {
  return key.startsWith(BUCKETS_PREFIX);
}

function isSeedText(value: unknown): boolean {
  return typeof value === 'string' && /^1 [0-9a-f-]{36} -$/.test(value);
}
