import { randomUUID } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { MemplaneError } from '@memplane/contracts';
import type { DaprState, StateOptions, StateValue } from '../dapr/state.ts';
import { DaprCreations, isOfCreations } from './dapr-creations.ts';
import type { StrongRecord, StrongStore, Versioned, WriteOutcome } from './store.ts';

export interface DaprStrongOptions {
  readonly state: DaprState;
  /** For each call of the sidecar. */
  readonly timeoutMs: number;
  /** After this, what a sidecar was told to write is written or never will be. */
  readonly settleMs: number;
  /** Rises steadily, in milliseconds. */
  readonly monotonicMs: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** Keys that begin with a prefix, past the sidecar; without it the store can not list. */
  readonly keys?: (prefix?: string) => AsyncIterable<string>;
}

const FORMAT_VERSION = 1;
const PACKED_CHARS_MIN = 2_048;

/**
 * The strong store on a sidecar's component `strong` (etcd). Two things of the component (1.18) are
 * not what they seem, and are mended here:
 *
 * - It compares the ETag by a read, then in a transaction whose refusal it does not look at: a write
 *   that was overtaken in between is answered as if it had happened. So each write carries a mark,
 *   and is read back. Another mark there means that it may have been overtaken or have been followed.
 * - Without an ETag it reads, then writes whatever is there by then. So a key is made as an empty
 *   seed, by one writer at a time ({@link DaprCreations}), and its first text replaces the seed by
 *   its ETag.
 */
export class DaprStrong implements StrongStore {
  readonly #state: DaprState;
  readonly #creations: DaprCreations;
  readonly #call: StateOptions;
  readonly records?: (prefix?: string) => AsyncIterable<StrongRecord>;

  constructor(options: DaprStrongOptions) {
    const { keys } = options;
    this.#state = options.state;
    this.#call = { timeoutMs: options.timeoutMs };
    this.#creations = new DaprCreations(options);
    if (keys !== undefined) this.records = (prefix) => this.#records(keys(prefix));
  }

  /** Makes what creations need, once in the life of the store; takes `settleMs` then. */
  prepare(): Promise<void> {
    return this.#creations.prepare();
  }

  async get(key: string): Promise<Versioned | undefined> {
    const found = await this.#read(key);
    if (found === undefined || isSeed(found)) return undefined;
    return { value: textOf(found.value), version: found.etag };
  }

  async create(key: string, value: string): Promise<WriteOutcome> {
    const found = await this.#read(key);
    if (found !== undefined && !isSeed(found)) return { kind: 'conflict' };
    const seed = await this.#creations.seed(key, found?.etag);
    return seed === undefined ? { kind: 'conflict' } : this.#write(key, value, seed);
  }

  compareAndSet(key: string, value: string, version: string): Promise<WriteOutcome> {
    return this.#write(key, value, version);
  }

  /** Leaves the seed: what is made again needs no new one. */
  async delete(key: string, version: string): Promise<WriteOutcome> {
    return this.#write(key, undefined, version);
  }

  async close(): Promise<void> {}

  /** Each as of its own moment; the records of {@link DaprCreations} are not the store's. */
  async *#records(keys: AsyncIterable<string>): AsyncGenerator<StrongRecord> {
    for await (const key of keys) {
      if (isOfCreations(key)) continue;
      const found = await this.get(key);
      if (found !== undefined) yield { key, value: found.value };
    }
  }

  async #write(key: string, value: string | undefined, etag: string): Promise<WriteOutcome> {
    const mark = randomUUID();
    const item = { key, value: storedOf(value, mark) };
    try {
      if (!(await this.#state.saveIf(item, etag, this.#call))) return { kind: 'conflict' };
      const now = await this.#state.get(key, this.#call);
      if (now !== undefined && markOf(now.value) === mark) {
        return { kind: 'written', version: now.etag };
      }
      return now?.etag === etag ? { kind: 'conflict' } : { kind: 'unknown' };
    } catch (cause) {
      return { kind: 'unknown', cause };
    }
  }

  async #read(key: string): Promise<StateValue | undefined> {
    try {
      return await this.#state.get(key, this.#call);
    } catch (cause) {
      throw noQuorum(cause);
    }
  }
}

/** The store gives no answer: it has no majority, or can't be reached. */
export function noQuorum(cause: unknown): MemplaneError {
  return new MemplaneError('no_quorum', 'The strong store does not answer.', {
    cause,
    retryAfterMs: 500,
  });
}

/**
 * `version mark form text`; form `-` is a seed, `b` a text in base64, `d` one that is deflated first.
 * In base64, since the component writes control characters of a text as they are, which is no JSON.
 */
export function storedOf(value: string | undefined, mark: string): string {
  const head = `${FORMAT_VERSION} ${mark}`;
  if (value === undefined) return `${head} -`;
  if (value.length < PACKED_CHARS_MIN) return `${head} b ${Buffer.from(value).toString('base64')}`;
  return `${head} d ${deflateRawSync(value, { level: 1 }).toString('base64')}`;
}

const STORED = /^1 ([0-9a-f-]{36}) ([-bd]) ?/;

function markOf(stored: unknown): string | undefined {
  return typeof stored === 'string' ? STORED.exec(stored)?.[1] : undefined;
}

function textOf(stored: unknown): string {
  const head = typeof stored === 'string' ? STORED.exec(stored) : null;
  if (head === null) throw new MemplaneError('storage_damaged', 'The strong store: no such form.');
  const bytes = Buffer.from((stored as string).slice(head[0].length), 'base64');
  return (head[2] === 'd' ? inflateRawSync(bytes) : bytes).toString();
}

function isSeed({ value }: StateValue): boolean {
  return typeof value === 'string' && STORED.exec(value)?.[2] === '-';
}

/** What a key holds before its first text. */
export function newSeed(): string {
  return storedOf(undefined, randomUUID());
}
