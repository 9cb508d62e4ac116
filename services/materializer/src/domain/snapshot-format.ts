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
const TRAILER_BYTES = 44;
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
      const lengths = Buffer.allocUnsafe(8);
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
  let rest: Buffer = Buffer.alloc(0);
  let ended = false;
  for await (const chunk of content) {
    const block = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const rows: SnapshotEntry[] = [];
    let at = 0;
    while (!ended && block.length - at >= 8) {
      const keyLength = block.readUInt32BE(at);
      if (keyLength === END) {
        ended = true;
        break;
      }
      const valueLength = block.readUInt32BE(at + 4);
      if (keyLength + valueLength > PART_BYTES_MAX) throw damaged(name, 'a length is wrong');
      const end = at + 8 + keyLength + valueLength;
      if (end > block.length) break;
      const keyEnd = at + 8 + keyLength;
      rows.push({ key: block.subarray(at + 8, keyEnd), value: block.subarray(keyEnd, end) });
      at = end;
    }
    hash.update(block.subarray(0, at));
    entries += rows.length;
    rest = block.subarray(at);
    if (rows.length > 0) yield rows;
  }
  if (!ended || rest.length !== TRAILER_BYTES) throw damaged(name, 'it ends too early');
  if (rest.readBigUInt64BE(4) !== BigInt(entries)) throw damaged(name, 'rows are missing');
  if (!hash.digest().equals(rest.subarray(12))) throw damaged(name, 'its checksum does not hold');
}

function damaged(name: string, why: string): MemplaneError {
  return new MemplaneError('storage_damaged', `The snapshot ${name} can not be read: ${why}.`, {
    extra: { blob: name },
  });
}
