import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { zstdCompress, zstdDecompress } from 'node:zlib';
import { MemplaneError } from '@memplane/contracts';
import type { LogRecord } from '@memplane/event-log';

/**
 * A segment of the archive: records of one partition, offsets kept, immutable.
 *
 *     "MPAS", version, key id, codec, 0   8 bytes
 *     length of the header                4
 *     header                              JSON, see {@link SegmentHeader}
 *     body                                zstd
 *     SHA-256 of all before               32
 *
 * The body is, for each record: offset (6), stamp (8), length of the key (2) and of the value (4),
 * key, value; all big-endian.
 */
export interface SegmentHeader {
  readonly logId: string;
  readonly epoch: number;
  readonly partition: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly records: number;
  /** Bytes of the body before compression. */
  readonly rawBytes: number;
}

const MAGIC = Buffer.from('MPAS');
const VERSION = 1;
const KEY_ID = 0;
const CODEC_ZSTD = 1;
const PREFIX_BYTES = 12;
const DIGEST_BYTES = 32;
const RECORD_BYTES = 20;
/** No body is decompressed beyond this, whatever its header says. */
export const SEGMENT_RAW_BYTES_MAX = 256 * 1024 * 1024;

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Writes records, which must follow each other without a gap in their order, as a segment. */
export async function encodeSegment(
  log: { readonly logId: string; readonly epoch: number },
  records: readonly [LogRecord, ...LogRecord[]],
): Promise<{ header: SegmentHeader; body: Buffer; blob: Buffer }> {
  const body = encodeRecords(records);
  const header: SegmentHeader = {
    logId: log.logId,
    epoch: log.epoch,
    partition: records[0].partition,
    firstOffset: records[0].offset,
    lastOffset: (records.at(-1) ?? records[0]).offset,
    records: records.length,
    rawBytes: body.length,
  };
  const json = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  MAGIC.copy(prefix);
  prefix.set([VERSION, KEY_ID, CODEC_ZSTD, 0], 4);
  prefix.writeUInt32BE(json.length, 8);
  const content = Buffer.concat([prefix, json, await compress(body)]);
  const digest = createHash('sha256').update(content).digest();
  return { header, body, blob: Buffer.concat([content, digest]) };
}

/**
 * Reads a segment back.
 * @param name how problems call it
 * @throws MemplaneError `storage_damaged` unless every bit is as it was written
 */
export async function decodeSegment(
  blob: Buffer,
  name: string,
): Promise<{ header: SegmentHeader; records: LogRecord[] }> {
  const { header, body } = await openSegment(blob, name);
  const records = decodeRecords(body, header.partition);
  if (records.length !== header.records) throw damaged(name, 'records are missing');
  return { header, records };
}

/**
 * Reads a segment back, and leaves its body as it is.
 * @param name how problems call it
 * @throws MemplaneError `storage_damaged` unless every bit is as it was written
 */
export async function openSegment(
  blob: Buffer,
  name: string,
): Promise<{ header: SegmentHeader; body: Buffer }> {
  if (blob.length < PREFIX_BYTES + DIGEST_BYTES || !blob.subarray(0, 4).equals(MAGIC)) {
    throw damaged(name, 'it is no segment');
  }
  const [version, keyId, codec] = blob.subarray(4);
  if (version !== VERSION || keyId !== KEY_ID || codec !== CODEC_ZSTD) {
    throw damaged(name, `it has format ${version}, key id ${keyId}, codec ${codec}`);
  }
  const end = blob.length - DIGEST_BYTES;
  const digest = createHash('sha256').update(blob.subarray(0, end)).digest();
  if (!digest.equals(blob.subarray(end))) throw damaged(name, 'its checksum does not hold');
  const bodyAt = PREFIX_BYTES + blob.readUInt32BE(8);
  const header = JSON.parse(blob.toString('utf8', PREFIX_BYTES, bodyAt)) as SegmentHeader;
  if (header.rawBytes > SEGMENT_RAW_BYTES_MAX) throw damaged(name, 'it is too large');
  const maxOutputLength = Math.max(1, header.rawBytes);
  const body = await decompress(blob.subarray(bodyAt, end), { maxOutputLength });
  return { header, body };
}

/** In one piece: there are thousands of records, and reads wait for the thread meanwhile. */
function encodeRecords(records: readonly LogRecord[]): Buffer {
  let length = 0;
  for (const { key, value } of records) {
    length += RECORD_BYTES + Buffer.byteLength(key) + value.length;
  }
  const body = Buffer.allocUnsafeSlow(length);
  let at = 0;
  for (const { offset, hlc, key, value } of records) {
    const keyBytes = body.write(key, at + RECORD_BYTES);
    body.writeUIntBE(offset, at, 6);
    body.writeBigUInt64BE(hlc, at + 6);
    body.writeUInt16BE(keyBytes, at + 14);
    body.writeUInt32BE(value.length, at + 16);
    at += RECORD_BYTES + keyBytes;
    at += value.copy(body, at);
  }
  return body;
}

function decodeRecords(body: Buffer, partition: number): LogRecord[] {
  const records: LogRecord[] = [];
  for (let at = 0; at < body.length; ) {
    const keyAt = at + RECORD_BYTES;
    const valueAt = keyAt + body.readUInt16BE(at + 14);
    const end = valueAt + body.readUInt32BE(at + 16);
    records.push({
      partition,
      offset: body.readUIntBE(at, 6),
      hlc: body.readBigUInt64BE(at + 6),
      key: body.toString('utf8', keyAt, valueAt),
      value: body.subarray(valueAt, end),
    });
    at = end;
  }
  return records;
}

function damaged(name: string, why: string): MemplaneError {
  return new MemplaneError('storage_damaged', `The archive's ${name} can not be read: ${why}.`, {
    extra: { blob: name },
  });
}
