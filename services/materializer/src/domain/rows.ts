import type { MemoryView } from './state.ts';

/**
 * How rows are written. Each begins with the format version and a byte for the id of the key that
 * it is encrypted with (0: none). Offsets have 6 bytes, stamps 8, lengths 4, all big-endian.
 */
export const ROW_VERSION = 1;
const KEY_ID = 0;

/** An unreadable row: written by a newer version, or damaged. */
export class UnreadableRowError extends Error {
  override readonly name = 'UnreadableRowError';
}

function check(row: Buffer, what: string): void {
  if (row[0] !== ROW_VERSION || row[1] !== KEY_ID) {
    throw new UnreadableRowError(`a ${what} row has format ${row[0]}, key id ${row[1]}`);
  }
}

/** Rows of a batch live and go together, so many share one allocation. */
const SLAB_BYTES = 64 * 1024;
let slab = Buffer.alloc(0);
let slabAt = 0;

function begin(bytes: number): Buffer {
  let row: Buffer;
  if (bytes > SLAB_BYTES / 4) row = Buffer.allocUnsafeSlow(bytes);
  else {
    if (slabAt + bytes > slab.length) {
      slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      slabAt = 0;
    }
    row = slab.subarray(slabAt, slabAt + bytes);
    slabAt += bytes;
  }
  row[0] = ROW_VERSION;
  row[1] = KEY_ID;
  return row;
}

/** 6 bytes, big-endian; `writeUIntBE` checks what is known here. */
function writeOffset(row: Buffer, value: number, at: number): number {
  const high = Math.floor(value / 0x1_0000_0000);
  row[at] = high >>> 8;
  row[at + 1] = high;
  row[at + 2] = value >>> 24;
  row[at + 3] = value >>> 16;
  row[at + 4] = value >>> 8;
  row[at + 5] = value;
  return at + 6;
}

const stamp = new BigUint64Array(1);
const stampBytes = new Uint8Array(stamp.buffer);
const FIRST = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 7 : 0;

/** 8 bytes, big-endian; `writeBigUInt64BE` makes several numbers of the stamp first. */
export function writeStamp(row: Uint8Array, hlc: bigint, at: number): void {
  stamp[0] = hlc;
  for (let i = 0; i < 8; i++) row[at + i] = stampBytes[FIRST ^ i] as number;
}

const HEAD_BYTES = 38;
const SESSION_ACTIVE = 1;
const SEALED = 2;
const OFFSET_BYTES = 6;

/** What is known of an entity at its newest event. */
export interface Head {
  readonly sessionActive: boolean;
  /** Whether anything of it came sealed since it was last erased. */
  readonly isSealed: boolean;
  readonly sequence: number;
  readonly offset: number;
  readonly hlc: bigint;
  /** Bytes of events since the last stored state of the entity. */
  readonly bytesSinceSnapshot: number;
  readonly memoryCount: number;
  readonly memoryBytes: number;
  /** For each index entry of the attributes, in their order: since which offset it holds. */
  readonly since: readonly number[];
  /** JSON object. */
  readonly attributes: Buffer;
}

/** A head with its attributes still as text. */
export type NewHead = Omit<Head, 'attributes'> & {
  readonly attributes: string;
  /** Of the attributes in UTF-8. */
  readonly attributesBytes: number;
};

export function encodeHead(head: NewHead): Buffer {
  const { since, attributes, attributesBytes } = head;
  const row = begin(HEAD_BYTES + since.length * OFFSET_BYTES + attributesBytes);
  row[2] = (head.sessionActive ? SESSION_ACTIVE : 0) | (head.isSealed ? SEALED : 0);
  row[3] = 0;
  writeOffset(row, head.sequence, 4);
  writeOffset(row, head.offset, 10);
  writeStamp(row, head.hlc, 16);
  row.writeUInt32BE(Math.min(head.bytesSinceSnapshot, 0xffff_ffff), 24);
  row.writeUInt32BE(head.memoryCount, 28);
  row.writeUInt32BE(Math.min(head.memoryBytes, 0xffff_ffff), 32);
  row.writeUInt16BE(since.length, 36);
  let at = HEAD_BYTES;
  for (const offset of since) at = writeOffset(row, offset, at);
  row.write(attributes, at);
  return row;
}

export function decodeHead(row: Buffer): Head {
  check(row, 'head');
  const count = row.readUInt16BE(36);
  const since: number[] = new Array(count);
  for (let i = 0; i < count; i++) {
    since[i] = row.readUIntBE(HEAD_BYTES + i * OFFSET_BYTES, OFFSET_BYTES);
  }
  return {
    sessionActive: ((row[2] ?? 0) & SESSION_ACTIVE) !== 0,
    isSealed: ((row[2] ?? 0) & SEALED) !== 0,
    sequence: row.readUIntBE(4, 6),
    offset: row.readUIntBE(10, 6),
    hlc: row.readBigUInt64BE(16),
    bytesSinceSnapshot: row.readUInt32BE(24),
    memoryCount: row.readUInt32BE(28),
    memoryBytes: row.readUInt32BE(32),
    since,
    attributes: row.subarray(HEAD_BYTES + count * OFFSET_BYTES),
  };
}

const MEMORY_BYTES = 14;

export interface MemoryRow {
  readonly offset: number;
  /** When its `ttl` ends, in ms since 1970; 0: never. */
  readonly expiresMs: number;
  /** JSON of the {@link MemoryView}. */
  readonly json: Buffer;
}

export function encodeMemory(offset: number, expiresMs: number, json: string): Buffer {
  const row = begin(MEMORY_BYTES + Buffer.byteLength(json));
  writeOffset(row, offset, 2);
  writeOffset(row, expiresMs, 8);
  row.write(json, MEMORY_BYTES);
  return row;
}

export function decodeMemory(row: Buffer): MemoryRow {
  check(row, 'memory');
  return {
    offset: row.readUIntBE(2, 6),
    expiresMs: row.readUIntBE(8, 6),
    json: row.subarray(MEMORY_BYTES),
  };
}

/** The end of a memory version: replaced or forgotten at `until`. */
export interface UntilRow {
  readonly until: number;
  readonly expiresMs: number;
}

export function encodeUntil(until: number, expiresMs: number): Buffer {
  const row = begin(14);
  writeOffset(row, until, 2);
  writeOffset(row, expiresMs, 8);
  return row;
}

export function decodeUntil(row: Buffer): UntilRow {
  check(row, 'until');
  return { until: row.readUIntBE(2, 6), expiresMs: row.readUIntBE(8, 6) };
}

const HISTORY_BYTES = 17;
const REJECTED = 1;

export interface HistoryRow {
  /** Kept to be seen, not applied: its id was used before for other content. */
  readonly rejected: boolean;
  /** The entity's sequence with this event. */
  readonly sequence: number;
  /** The newest stamp of the partition up to this event. */
  readonly maxHlc: bigint;
  /** The record of the log, a CloudEvent in JSON. */
  readonly event: Buffer;
}

export function encodeHistory(
  rejected: boolean,
  sequence: number,
  maxHlc: bigint,
  event: Buffer,
): Buffer {
  const row = begin(HISTORY_BYTES + event.length);
  row[2] = rejected ? REJECTED : 0;
  writeOffset(row, sequence, 3);
  writeStamp(row, maxHlc, 9);
  row.set(event, HISTORY_BYTES);
  return row;
}

export function decodeHistory(row: Buffer): HistoryRow {
  check(row, 'history');
  return {
    rejected: ((row[2] ?? 0) & REJECTED) !== 0,
    sequence: row.readUIntBE(3, 6),
    maxHlc: row.readBigUInt64BE(9),
    event: row.subarray(HISTORY_BYTES),
  };
}

/** The state of an entity after one of its events. */
export interface SnapshotRow {
  readonly sequence: number;
  readonly hlc: bigint;
  readonly state: SnapshotState;
}

export interface SnapshotState {
  readonly attributes: { readonly [key: string]: unknown };
  readonly memories: readonly MemoryView[];
}

const SNAPSHOT_BYTES = 16;

/** @param stateJson JSON of a {@link SnapshotState} */
export function encodeSnapshot(sequence: number, hlc: bigint, stateJson: string): Buffer {
  const row = begin(SNAPSHOT_BYTES + Buffer.byteLength(stateJson));
  row.writeUIntBE(sequence, 2, 6);
  writeStamp(row, hlc, 8);
  row.write(stateJson, SNAPSHOT_BYTES);
  return row;
}

export function decodeSnapshot(row: Buffer): SnapshotRow {
  check(row, 'snapshot');
  return {
    sequence: row.readUIntBE(2, 6),
    hlc: row.readBigUInt64BE(8),
    state: JSON.parse(row.toString('utf8', SNAPSHOT_BYTES)) as SnapshotState,
  };
}

const DIGEST_BYTES = 16;

export interface IdRow {
  readonly offset: number;
  /** The first 16 bytes of the content digest. */
  readonly digest: Buffer;
}

/** @param digest base64url of the content digest */
export function encodeId(offset: number, digest: string): Buffer {
  const row = begin(8 + DIGEST_BYTES);
  writeOffset(row, offset, 2);
  const written = row.write(digest.slice(0, 22), 8, DIGEST_BYTES, 'base64url');
  if (written < DIGEST_BYTES) row.fill(0, 8 + written);
  return row;
}

export function decodeId(row: Buffer): IdRow {
  check(row, 'id');
  return { offset: row.readUIntBE(2, 6), digest: row.subarray(8) };
}

const ERASED_BYTES = 16;

/** The erasure of an entity: all before its offset is gone. */
export interface ErasedRow {
  readonly offset: number;
  readonly hlc: bigint;
}

export function encodeErased(offset: number, hlc: bigint): Buffer {
  const row = begin(ERASED_BYTES);
  writeOffset(row, offset, 2);
  writeStamp(row, hlc, 8);
  return row;
}

export function decodeErased(row: Buffer): ErasedRow {
  check(row, 'erased');
  return { offset: row.readUIntBE(2, 6), hlc: row.readBigUInt64BE(8) };
}

/** An offset alone: of index rows. */
export function encodeOffset(offset: number): Buffer {
  const row = begin(8);
  writeOffset(row, offset, 2);
  return row;
}

export function decodeOffset(row: Buffer): number {
  check(row, 'offset');
  return row.readUIntBE(2, 6);
}

/** A text alone: the event id of an effect. */
export function encodeText(text: string): Buffer {
  const row = begin(2 + Buffer.byteLength(text));
  row.write(text, 2);
  return row;
}

export function decodeText(row: Buffer): string {
  check(row, 'text');
  return row.toString('utf8', 2);
}
