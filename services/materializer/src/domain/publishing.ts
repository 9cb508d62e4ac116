import type { ViewLine } from './feed.ts';
import { UnreadableRowError } from './rows.ts';

/** A message of the topic of views, as it is there. */
export interface ViewMessage {
  /** The partition key of its entity. */
  readonly key: string;
  readonly value: Buffer;
}

/** How soon a topic loses what a later message of the same entity has replaced. */
export interface Compaction {
  /** Infinite: at no time that is known. */
  readonly lagMsMax: number;
  /** So long the files that had it stay on disk. */
  readonly fileDeleteDelayMs: number;
}

/** What a topic of views still has. */
export interface OpenViewTopic extends AsyncDisposable {
  compaction(): Promise<Compaction>;
  /** All messages, in some order. */
  records(): AsyncIterable<readonly ViewMessage[]>;
}

/** Where changed views go: a topic that is compacted by entity. */
export interface ViewTopic {
  /**
   * Resolves once all are stored, none of them before those of an earlier call.
   * @throws MemplaneError some may be stored then, or be stored later still
   */
  publish(views: readonly ViewLine[], timeoutMs: number): Promise<void>;
  /** To look through what is there; resolves with undefined where there is no topic. Absent: nobody can. */
  readonly open?: () => Promise<OpenViewTopic | undefined>;
}

/** Views to be sent once more, since a message that was given up may still arrive after them. */
export interface Repetition {
  /** The first offset whose change is sent again. */
  readonly from: number;
  /** Not before this moment, on the monotonic clock: by then nothing late is under way. */
  readonly atMs: number;
}

/** Both of two repetitions in one: of the lower offset, at the later moment. */
export function mergeRepetitions(a: Repetition | undefined, b: Repetition): Repetition {
  if (a === undefined) return b;
  return { from: Math.min(a.from, b.from), atMs: Math.max(a.atMs, b.atMs) };
}

const VERSION = 1;
const KEY_ID = 0;

/** The row of a shard that says up to which offset, inclusive, changed views are published. */
export function encodePublished(offset: number): Buffer {
  return Buffer.from(JSON.stringify({ version: VERSION, keyId: KEY_ID, offset }));
}

/** @returns -1 when nothing is published */
export function decodePublished(row: Buffer | null): number {
  if (row === null) return -1;
  const { version, keyId, offset } = JSON.parse(row.toString()) as Record<string, unknown>;
  if (version !== VERSION || keyId !== KEY_ID || typeof offset !== 'number') {
    throw new UnreadableRowError(`a row of what is published has format ${version}`);
  }
  return offset;
}
