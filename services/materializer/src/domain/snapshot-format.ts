import { createHash } from 'node:crypto';
import { MemplaneError } from '@memplane/contracts';

/**
 * The content of a shard's snapshot, before compression: rows in the order of their keys, each
 * length of the key (4) and of the value (4), key, value; then 0xffffffff, the number of rows (8)
 * and the SHA-256 of all rows. Big-endian.
 */
export interface SnapshotEntry {
  readonly key: Buffer;
  readonly value: Buffer;
}

export const SNAPSHOT_MAGIC = Buffer.from('MPSS');
/** Magic, version, key id, codec (1: zstd), 0. */
export const SNAPSHOT_PREFIX = Buffer.concat([SNAPSHOT_MAGIC, Buffer.from([1, 0, 1, 0])]);

const END = 0xffff_ffff;
/** Of a key's length and a value's. */
const LENGTHS_BYTES = 8;
const TRAILER_BYTES = 44;
const NOTHING = Buffer.alloc(0);
/** Nothing in a store is larger; a longer length is damage. */
const PART_BYTES_MAX = 256 * 1024 * 1024;

export async function* encodeEntries(
  rows: AsyncIterable<readonly SnapshotEntry[]>,
  told: { entries: number; bytes: number; sha256: string },
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  for await (const chunk of rows) {
    const parts: Buffer[] = [];
    for (const { key, value } of chunk) {
      const lengths = Buffer.allocUnsafe(LENGTHS_BYTES);
      lengths.writeUInt32BE(key.length, 0);
      lengths.writeUInt32BE(value.length, 4);
      parts.push(lengths, key, value);
    }
    const block = Buffer.concat(parts);
    hash.update(block);
    told.entries += chunk.length;
    told.bytes += block.length;
    yield block;
  }
  const digest = hash.digest();
  told.sha256 = digest.toString('base64url');
  const trailer = Buffer.alloc(TRAILER_BYTES);
  trailer.writeUInt32BE(END, 0);
  trailer.writeBigUInt64BE(BigInt(told.entries), 4);
  digest.copy(trailer, 12);
  yield trailer;
}

/**
 * Gives the rows as they come, in chunks. They count only once it has ended without an error: the
 * checksum is at the end.
 * @throws MemplaneError `storage_damaged`
 */
export async function* decodeEntries(
  content: AsyncIterable<Buffer>,
  name: string,
): AsyncGenerator<SnapshotEntry[]> {
  const hash = createHash('sha256');
  let entries = 0;
  let rest: Buffer = NOTHING;
  let ended = false;
  for await (const chunk of content) {
    const rows: SnapshotEntry[] = [];
    for (const block of withoutGaps(rest, chunk)) {
      const read: RowsRead = ended ? { end: 0, ended } : readRows(block, rows, name);
      hash.update(block.subarray(0, read.end));
      rest = block.subarray(read.end);
      ended = read.ended;
    }
    entries += rows.length;
    if (rows.length > 0) yield rows;
  }
  if (!ended || rest.length !== TRAILER_BYTES) throw damaged(name, 'it ends too early');
  if (rest.readBigUInt64BE(4) !== BigInt(entries)) throw damaged(name, 'rows are missing');
  if (!hash.digest().equals(rest.subarray(12))) throw damaged(name, 'its checksum does not hold');
}

interface RowsRead {
  /** Where the rows end. */
  readonly end: number;
  /** Whether all have come. */
  readonly ended: boolean;
}

/** Adds the whole rows that a block begins with. */
function readRows(block: Buffer, rows: SnapshotEntry[], name: string): RowsRead {
  let at = 0;
  while (block.length - at >= LENGTHS_BYTES) {
    const keyLength = block.readUInt32BE(at);
    if (keyLength === END) return { end: at, ended: true };
    const valueLength = block.readUInt32BE(at + 4);
    if (keyLength + valueLength > PART_BYTES_MAX) throw damaged(name, 'a length is wrong');
    const keyAt = at + LENGTHS_BYTES;
    const valueAt = keyAt + keyLength;
    const end = valueAt + valueLength;
    if (end > block.length) break;
    rows.push({ key: block.subarray(keyAt, valueAt), value: block.subarray(valueAt, end) });
    at = end;
  }
  return { end: at, ended: false };
}

/**
 * What is left of the last chunk and the next one, as blocks that begin with a row. Only the row
 * that reaches across both is copied: copies of whole chunks are memory outside the heap, for which
 * the garbage collector looks through all of it again and again.
 */
function withoutGaps(rest: Buffer, chunk: Buffer): readonly Buffer[] {
  if (rest.length === 0) return [chunk];
  const missing = rowBytes(rest, chunk) - rest.length;
  if (missing >= chunk.length) return [Buffer.concat([rest, chunk])];
  return [Buffer.concat([rest, chunk.subarray(0, missing)]), chunk.subarray(missing)];
}

/** Bytes of the row that begins in `rest`; beyond all bounds where that is none, or not known yet. */
function rowBytes(rest: Buffer, chunk: Buffer): number {
  const lengths = Buffer.concat([
    rest.subarray(0, LENGTHS_BYTES),
    chunk.subarray(0, LENGTHS_BYTES),
  ]);
  if (lengths.length < LENGTHS_BYTES) return Number.POSITIVE_INFINITY;
  const keyLength = lengths.readUInt32BE(0);
  if (keyLength === END) return Number.POSITIVE_INFINITY;
  return LENGTHS_BYTES + keyLength + lengths.readUInt32BE(4);
}

function damaged(name: string, why: string): MemplaneError {
  return new MemplaneError('storage_damaged', `The snapshot ${name} can not be read: ${why}.`, {
    extra: { blob: name },
  });
}
