import { crc32c } from '@platformatic/kafka';
import type { LogRecord } from '../port.ts';
import type { RecentRecord } from '../recent-batch.ts';
import { BATCH, BATCH_MAGIC } from './batch-encoder.ts';
import { unpack } from './compression.ts';
import { damagedBatch } from './errors.ts';
import { hlcOfValue, readDigests, readHlc, STAMP_HEADER } from './record-header.ts';
import { VarintCursor } from './varint.ts';

const CONTROL_BIT = 0x20;
const COMPRESSION_BITS = 0x07;

/** A record batch as the broker has sent it, whole; its records are not looked at yet. */
export interface RawBatch {
  readonly partition: number;
  readonly from: number;
  /** The offset behind its last record. */
  readonly next: number;
  readonly bytes: Buffer;
}

/** Cuts a fetch's bytes into batches; a last one that is cut off is left out. */
export function splitBatches(partition: number, bytes: Buffer): RawBatch[] {
  const batches: RawBatch[] = [];
  let at = 0;
  while (bytes.length - at >= BATCH.records) {
    const end = at + BATCH.leaderEpoch + bytes.readInt32BE(at + BATCH.length);
    if (end > bytes.length || end < at + BATCH.records) break;
    const from = Number(bytes.readBigInt64BE(at + BATCH.baseOffset));
    const next = from + bytes.readInt32BE(at + BATCH.lastOffsetDelta) + 1;
    batches.push({ partition, from, next, bytes: bytes.subarray(at, end) });
    at = end;
  }
  return batches;
}

/** A record with its place among the batch's bytes, for those who want its digests. */
type Visitor = (record: LogRecord, bytes: Buffer, stampAt: number) => void;

/** @throws MemplaneError `storage_damaged` when the batch is not as it was written */
export function decodeBatch(batch: RawBatch): LogRecord[] {
  const records: LogRecord[] = [];
  visit(batch, (record) => records.push(record));
  return records;
}

/** What a batch tells of recent ids; records without our header are left out. */
export function decodeRecent(batch: RawBatch): RecentRecord[] {
  const recent: RecentRecord[] = [];
  visit(batch, ({ partition, offset, hlc }, bytes, stampAt) => {
    if (stampAt >= 0) recent.push({ partition, offset, hlc, ...readDigests(bytes, stampAt) });
  });
  return recent;
}

function visit(batch: RawBatch, visitor: Visitor): void {
  const { bytes, partition, from } = batch;
  if (bytes[BATCH.magic] !== BATCH_MAGIC) {
    throw damagedBatch('A batch has an unknown format', partition, from);
  }
  if (crc32c(bytes.subarray(BATCH.attributes)) !== bytes.readUInt32BE(BATCH.crc)) {
    throw damagedBatch('The checksum of a batch does not hold', partition, from);
  }
  const attributes = bytes.readInt16BE(BATCH.attributes);
  if (attributes & CONTROL_BIT) return;
  try {
    const unpacked = unpack(bytes.subarray(BATCH.records), attributes & COMPRESSION_BITS);
    const count = bytes.readInt32BE(BATCH.count);
    readRecords(unpacked, count, batch, visitor);
  } catch (error) {
    throw damagedBatch('A batch can not be read', partition, from, error);
  }
}

function readRecords(bytes: Buffer, count: number, batch: RawBatch, visitor: Visitor): void {
  const { partition, from } = batch;
  const cursor = new VarintCursor(bytes);
  for (let i = 0; i < count; i++) {
    const end = cursor.next() + cursor.at;
    if (end > bytes.length) throw new Error('a record is cut off');
    cursor.at++;
    cursor.next();
    const offset = from + cursor.next();
    const keyBytes = cursor.next();
    const key = keyBytes > 0 ? bytes.toString('utf8', cursor.at, cursor.at + keyBytes) : '';
    cursor.at += Math.max(0, keyBytes);
    const valueBytes = Math.max(0, cursor.next());
    const value = bytes.subarray(cursor.at, cursor.at + valueBytes);
    cursor.at += valueBytes;
    const stampAt = findStamp(cursor);
    const hlc = stampAt < 0 ? undefined : readHlc(bytes, stampAt, end - stampAt);
    cursor.at = end;
    visitor(
      { partition, offset, key, value, hlc: hlc ?? hlcOfValue(value) },
      bytes,
      hlc === undefined ? -1 : stampAt,
    );
  }
}

/** Where the value of our header begins; it is the last one. −1: there is none. */
function findStamp(cursor: VarintCursor): number {
  const { bytes } = cursor;
  const headers = cursor.next();
  for (let i = 0; i < headers; i++) {
    const nameBytes = cursor.next();
    const nameAt = cursor.at;
    cursor.at += nameBytes;
    const valueBytes = cursor.next();
    if (
      i === headers - 1 &&
      nameBytes === STAMP_HEADER.length &&
      bytes.toString('latin1', nameAt, nameAt + nameBytes) === STAMP_HEADER
    ) {
      return cursor.at;
    }
    cursor.at += Math.max(0, valueBytes);
  }
  return -1;
}
