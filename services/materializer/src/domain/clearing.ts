import { UnreadableRowError } from './rows.ts';

/** How far clearing what one entity has from before its erasure has come. */
export interface Clearing {
  /** Of the event that erases. */
  readonly offset: number;
  /** When nothing was left in rows, files and snapshots, in ms since 1970; absent: not yet. */
  readonly clearedAtMs?: number;
  /** The stamp of the newest plain event that was cleared, in ms since 1970; absent: there was none. */
  readonly plainUpToMs?: number;
  /** Whether the topic of views may have had any of its content; absent: it was not noted. */
  readonly isPublished?: boolean;
  /** When no message with any of it was left there, in ms since 1970; absent: not yet. */
  readonly topicClearedAtMs?: number;
}

/** Whether the topic of views has yet to be looked through, once the views are cleared. */
export function isTopicDue({ clearedAtMs, isPublished, topicClearedAtMs }: Clearing): boolean {
  return clearedAtMs !== undefined && isPublished !== false && topicClearedAtMs === undefined;
}

const VERSION = 1;

export function encodeClearing(clearing: Clearing): Buffer {
  return Buffer.from(JSON.stringify({ version: VERSION, keyId: 0, ...clearing }));
}

export function decodeClearing(row: Buffer): Clearing {
  const { version, keyId, ...clearing } = JSON.parse(row.toString()) as Clearing & {
    readonly version: number;
    readonly keyId: number;
  };
  if (version === VERSION && keyId === 0) return clearing;
  throw new UnreadableRowError(`a clearing has format ${version}, key id ${keyId}`);
}
