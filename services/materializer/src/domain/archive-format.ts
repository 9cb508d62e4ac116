import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { createZstdDecompress, zstdCompress, zstdDecompress } from 'node:zlib';
import { MemplaneError } from '@memplane/contracts';
import type { LogRecord } from '@memplane/event-log';
import { decodeRecords, type SegmentBody } from './segment-body.ts';

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
/** That is decompressed at once, where it is only looked at. */
const PIECE_BYTES = 256 * 1024;
/** No body is decompressed beyond this, whatever its header says. */
export const SEGMENT_RAW_BYTES_MAX = 256 * 1024 * 1024;

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/**
 * Writes records, which must follow each other without a gap in their order, as a segment.
 * @param body not empty
 */
export async function encodeSegment(
  log: { readonly logId: string; readonly epoch: number },
  body: SegmentBody,
): Promise<{ header: SegmentHeader; blob: Buffer }> {
  const { first, lastOffset, records, bytes } = body;
  if (first === undefined) throw new RangeError('a segment without a record');
  const { partition, offset: firstOffset } = first;
  const { logId, epoch } = log;
  const rawBytes = bytes.length;
  const header = { logId, epoch, partition, firstOffset, lastOffset, records, rawBytes };
  const json = Buffer.from(JSON.stringify(header));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  MAGIC.copy(prefix);
  prefix.set([VERSION, KEY_ID, CODEC_ZSTD, 0], 4);
  prefix.writeUInt32BE(json.length, 8);
  const content = [prefix, json, await compress(bytes)];
  const hash = createHash('sha256');
  for (const part of content) hash.update(part);
  return { header, blob: Buffer.concat([...content, hash.digest()]) };
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
 * Whether a segment has this body, compared piece by piece.
 * @param name how problems call it
 * @throws MemplaneError `storage_damaged` unless every bit is as it was written
 */
export async function hasBody(blob: Buffer, name: string, body: Buffer): Promise<boolean> {
  const pieces = createZstdDecompress({ chunkSize: PIECE_BYTES });
  pieces.end(takeApart(blob, name).compressed);
  let at = 0;
  for await (const piece of pieces as AsyncIterable<Buffer>) {
    if (!body.subarray(at, at + piece.length).equals(piece)) return false;
    at += piece.length;
  }
  return at === body.length;
}

async function openSegment(
  blob: Buffer,
  name: string,
): Promise<{ header: SegmentHeader; body: Buffer }> {
  const { header, compressed } = takeApart(blob, name);
  const maxOutputLength = Math.max(1, header.rawBytes);
  return { header, body: await decompress(compressed, { maxOutputLength }) };
}

function takeApart(blob: Buffer, name: string): { header: SegmentHeader; compressed: Buffer } {
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
  return { header, compressed: blob.subarray(bodyAt, end) };
}

function damaged(name: string, why: string): MemplaneError {
  return new MemplaneError('storage_damaged', `The archive's ${name} can not be read: ${why}.`, {
    extra: { blob: name },
  });
}
