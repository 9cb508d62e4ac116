import { splitPartitionKey } from './keys.ts';
import { ROW_VERSION, UnreadableRowError } from './rows.ts';

/** One record of a batch, as the timeline remembers it. */
export interface TimelineEntry {
  readonly offset: number;
  /** The newest stamp of the partition up to this record. */
  readonly maxHlc: bigint;
  /** The partition key of the entity that it changed; empty for one that changed none. */
  readonly key: string;
}

const HEADER_BYTES = 20;
const ROW_BYTES_FIRST = 8 * 1024;
/** Three varints. */
const ENTRY_BYTES_MAX = 30;

/**
 * Writes what was in a batch: which offset changed which entity, and the running maximum of stamps.
 * One row serves time cuts, the newest stamp of a cut, and the outbox of changed views.
 * Layout: version, key id, count (4), first offset (6), first stamp (8), then for each record the
 * steps of offset and stamp and the length of the key as LEB128, and the key.
 */
export class TimelineWriter {
  #row = Buffer.allocUnsafe(ROW_BYTES_FIRST);
  #at = HEADER_BYTES;
  #count = 0;
  #firstOffset = 0;
  #firstHlc = 0n;
  #offset = 0;
  #hlc = 0n;

  add(offset: number, maxHlc: bigint, key: string): void {
    if (this.#count === 0) {
      this.#firstOffset = this.#offset = offset;
      this.#firstHlc = this.#hlc = maxHlc;
    }
    this.#count++;
    if (this.#at + key.length + ENTRY_BYTES_MAX > this.#row.length) this.#grow(key.length);
    this.#varint(offset - this.#offset);
    this.#varint(maxHlc === this.#hlc ? 0 : Number(maxHlc - this.#hlc));
    this.#varint(key.length);
    for (let i = 0; i < key.length; i++) this.#row[this.#at++] = key.charCodeAt(i);
    this.#offset = offset;
    this.#hlc = maxHlc;
  }

  finish(): Buffer {
    const row = this.#row.subarray(0, this.#at);
    row[0] = ROW_VERSION;
    row[1] = 0;
    row.writeUInt32BE(this.#count, 2);
    row.writeUIntBE(this.#firstOffset, 6, 6);
    row.writeBigUInt64BE(this.#firstHlc, 12);
    return row;
  }

  #varint(value: number): void {
    let left = value;
    while (left >= 0x80) {
      this.#row[this.#at++] = (left % 0x80) | 0x80;
      left = Math.floor(left / 0x80);
    }
    this.#row[this.#at++] = left;
  }

  #grow(keyBytes: number): void {
    const larger = Buffer.allocUnsafe(this.#row.length * 2 + keyBytes + ENTRY_BYTES_MAX);
    this.#row.copy(larger, 0, 0, this.#at);
    this.#row = larger;
  }
}

export function readTimeline(row: Buffer): TimelineEntry[] {
  if (row[0] !== ROW_VERSION || row[1] !== 0) {
    throw new UnreadableRowError(`a batch row has format ${row[0]}, key id ${row[1]}`);
  }
  const count = row.readUInt32BE(2);
  const reader = { row, at: HEADER_BYTES };
  let offset = row.readUIntBE(6, 6);
  let maxHlc = row.readBigUInt64BE(12);
  const entries: TimelineEntry[] = new Array(count);
  for (let i = 0; i < count; i++) {
    offset += readVarint(reader);
    maxHlc += BigInt(readVarint(reader));
    const length = readVarint(reader);
    entries[i] = { offset, maxHlc, key: row.toString('latin1', reader.at, reader.at + length) };
    reader.at += length;
  }
  return entries;
}

/** The newest stamp up to an offset; 0n when the batch begins later. */
export function stampAt(entries: readonly TimelineEntry[], offset: number): bigint {
  let found = 0n;
  for (const entry of entries) {
    if (entry.offset > offset) break;
    found = entry.maxHlc;
  }
  return found;
}

/** The last offset before the running maximum of stamps passes a limit, within one batch. */
export function lastOffsetUpTo(entries: readonly TimelineEntry[], limit: bigint): number {
  const first = entries.find((entry) => entry.maxHlc > limit);
  return (first?.offset ?? 0) - 1;
}

export function entityOf(entry: TimelineEntry): { tenant: string; entity: string } {
  return splitPartitionKey(entry.key);
}

function readVarint(reader: { row: Buffer; at: number }): number {
  let value = 0;
  for (let scale = 1; ; scale *= 0x80) {
    const byte = reader.row[reader.at++] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
}
