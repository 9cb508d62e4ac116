import { crc32 } from 'node:zlib';

/*
 * The journal's bytes. All numbers are little-endian.
 *
 * segment  = header, frame…                one file; frames of all partitions, in commit order
 * header   = 0 magic "MPLJSEG1" · 8 u16 format · 10 u16 0 · 12 u32 length · 16 log id (16) ·
 *            32 u32 epoch · 36 u32 key id · 40 u32 segment · 44 u32 partitions ·
 *            48 u64 end of the previous segment · 56 u64 next commit · 64 u64 highest HLC so far ·
 *            72 u64 next offset, per partition · u32 CRC-32 of all before
 * frame    = header, group…, footer        one commit: written whole, then synced
 *   header = 0 "MPF1" · 4 u32 CRC-32 of 8… · 8 u32 frame length · 12 u16 format · 14 u16 groups ·
 *            16 u64 commit · 24 u32 records · 28 u32 key id · 32 u64 highest HLC so far ·
 *            40 groups × (u32 partition · u32 records · u64 first offset · u32 bytes · u32 0)
 *   footer = 0 "MPFE" · 4 u32 frame length · 8 u64 commit · 16 u32 the header's CRC · 20 u32 CRC-32
 * group    = the commit's records of one partition, in offset order
 * record   = 0 u32 CRC-32 of 4… · 4 u32 length · 8 u16 format · 10 u16 key bytes · 12 u32 key id ·
 *            16 u32 partition · 20 u64 offset · 28 u64 HLC · 36 id digest (16) ·
 *            52 content digest (16) · 68 key · value
 *
 * "key id" names the key that encrypts; 0 is none, the only one so far.
 */
export const FORMAT_VERSION = 1;
export const SEGMENT_MAGIC = Buffer.from('MPLJSEG1', 'latin1');
export const FRAME_MAGIC = 0x3146504d;
export const FOOTER_MAGIC = 0x4546504d;
export const FRAME_HEADER_BYTES = 40;
export const GROUP_BYTES = 24;
export const FOOTER_BYTES = 24;
export const RECORD_HEADER_BYTES = 68;
export const DIGEST_BYTES = 16;
/** The unit in which a disk writes: a torn write leaves whole sectors unwritten. */
export const SECTOR_BYTES = 512;

const TWO_32 = 0x1_0000_0000;

/** Reads an unsigned 64-bit number that is known to be below 2^53 (an offset, a position). */
export function readU53(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at + 4) * TWO_32 + bytes.readUInt32LE(at);
}

/** Writes a whole number below 2^53 as 64 bits. */
export function writeU53(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value >>> 0, at);
  bytes.writeUInt32LE(Math.floor(value / TWO_32), at + 4);
}

export interface SegmentHeader {
  readonly logId: string;
  readonly epoch: number;
  readonly segment: number;
  readonly partitions: number;
  /** Where the valid part of the previous segment ends, in bytes. */
  readonly previousEnd: number;
  readonly nextCommit: number;
  readonly highestHlc: bigint;
  /** The offset of the first record that this segment may hold, per partition. */
  readonly bases: readonly number[];
}

export function segmentHeaderBytes(partitions: number): number {
  return 72 + 8 * partitions + 4;
}

export function encodeSegmentHeader(header: SegmentHeader): Buffer {
  const length = segmentHeaderBytes(header.partitions);
  const bytes = Buffer.alloc(length);
  SEGMENT_MAGIC.copy(bytes, 0);
  bytes.writeUInt16LE(FORMAT_VERSION, 8);
  bytes.writeUInt32LE(length, 12);
  Buffer.from(header.logId.replaceAll('-', ''), 'hex').copy(bytes, 16);
  bytes.writeUInt32LE(header.epoch, 32);
  bytes.writeUInt32LE(header.segment, 40);
  bytes.writeUInt32LE(header.partitions, 44);
  writeU53(bytes, header.previousEnd, 48);
  writeU53(bytes, header.nextCommit, 56);
  bytes.writeBigUInt64LE(header.highestHlc, 64);
  for (let p = 0; p < header.partitions; p++) writeU53(bytes, header.bases[p] ?? 0, 72 + 8 * p);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, length - 4)), length - 4);
  return bytes;
}

/** Undefined when the bytes are not a whole, intact header. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < 76 || !bytes.subarray(0, 8).equals(SEGMENT_MAGIC)) return undefined;
  const length = bytes.readUInt32LE(12);
  const partitions = bytes.readUInt32LE(44);
  if (bytes.length < length || length !== segmentHeaderBytes(partitions)) return undefined;
  if (bytes.readUInt32LE(length - 4) !== crc32(bytes.subarray(0, length - 4))) return undefined;
  if (bytes.readUInt16LE(8) !== FORMAT_VERSION) return undefined;
  const hex = bytes.toString('hex', 16, 32);
  const cuts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return {
    logId: [...cuts, hex.slice(20)].join('-'),
    epoch: bytes.readUInt32LE(32),
    segment: bytes.readUInt32LE(40),
    partitions,
    previousEnd: readU53(bytes, 48),
    nextCommit: readU53(bytes, 56),
    highestHlc: bytes.readBigUInt64LE(64),
    bases: Array.from({ length: partitions }, (_, p) => readU53(bytes, 72 + 8 * p)),
  };
}

export interface FrameGroup {
  readonly partition: number;
  readonly count: number;
  readonly firstOffset: number;
  readonly bytes: number;
}

export interface FrameHeader {
  readonly length: number;
  readonly commit: number;
  readonly count: number;
  readonly highestHlc: bigint;
  readonly groups: readonly FrameGroup[];
  readonly headerBytes: number;
  readonly crc: number;
}

export function frameHeaderBytes(groups: number): number {
  return FRAME_HEADER_BYTES + groups * GROUP_BYTES;
}

export function encodeFrameHeader(
  frame: Pick<FrameHeader, 'length' | 'commit' | 'count' | 'highestHlc' | 'groups'>,
): Buffer {
  const bytes = Buffer.alloc(frameHeaderBytes(frame.groups.length));
  bytes.writeUInt32LE(FRAME_MAGIC, 0);
  bytes.writeUInt32LE(frame.length, 8);
  bytes.writeUInt16LE(FORMAT_VERSION, 12);
  bytes.writeUInt16LE(frame.groups.length, 14);
  writeU53(bytes, frame.commit, 16);
  bytes.writeUInt32LE(frame.count, 24);
  bytes.writeBigUInt64LE(frame.highestHlc, 32);
  let at = FRAME_HEADER_BYTES;
  for (const group of frame.groups) {
    bytes.writeUInt32LE(group.partition, at);
    bytes.writeUInt32LE(group.count, at + 4);
    writeU53(bytes, group.firstOffset, at + 8);
    bytes.writeUInt32LE(group.bytes, at + 16);
    at += GROUP_BYTES;
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

/** Undefined when the bytes do not begin with a whole, intact frame header. */
export function decodeFrameHeader(bytes: Buffer): FrameHeader | undefined {
  if (bytes.length < FRAME_HEADER_BYTES || bytes.readUInt32LE(0) !== FRAME_MAGIC) return undefined;
  const groupCount = bytes.readUInt16LE(14);
  const headerBytes = frameHeaderBytes(groupCount);
  if (bytes.length < headerBytes) return undefined;
  const crc = bytes.readUInt32LE(4);
  if (crc !== crc32(bytes.subarray(8, headerBytes))) return undefined;
  if (bytes.readUInt16LE(12) !== FORMAT_VERSION) return undefined;
  const groups: FrameGroup[] = [];
  for (let at = FRAME_HEADER_BYTES; at < headerBytes; at += GROUP_BYTES) {
    groups.push({
      partition: bytes.readUInt32LE(at),
      count: bytes.readUInt32LE(at + 4),
      firstOffset: readU53(bytes, at + 8),
      bytes: bytes.readUInt32LE(at + 16),
    });
  }
  return {
    length: bytes.readUInt32LE(8),
    commit: readU53(bytes, 16),
    count: bytes.readUInt32LE(24),
    highestHlc: bytes.readBigUInt64LE(32),
    groups,
    headerBytes,
    crc,
  };
}

export function encodeFooter(header: Buffer): Buffer {
  const bytes = Buffer.alloc(FOOTER_BYTES);
  bytes.writeUInt32LE(FOOTER_MAGIC, 0);
  header.copy(bytes, 4, 8, 12);
  header.copy(bytes, 8, 16, 24);
  header.copy(bytes, 16, 4, 8);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 20)), 20);
  return bytes;
}

export interface FrameFooter {
  readonly length: number;
  readonly commit: number;
  readonly headerCrc: number;
}

/** Undefined when the bytes are not an intact footer. */
export function decodeFooter(bytes: Buffer): FrameFooter | undefined {
  if (bytes.length !== FOOTER_BYTES || bytes.readUInt32LE(0) !== FOOTER_MAGIC) return undefined;
  if (bytes.readUInt32LE(20) !== crc32(bytes.subarray(0, 20))) return undefined;
  return {
    length: bytes.readUInt32LE(4),
    commit: readU53(bytes, 8),
    headerCrc: bytes.readUInt32LE(16),
  };
}

/** Whether a whole, intact record of this partition and offset lies in `bytes` at `at`. */
export function isIntactRecord(
  bytes: Buffer,
  at: number,
  room: number,
  partition: number,
  offset: number,
): boolean {
  if (room < RECORD_HEADER_BYTES) return false;
  const length = bytes.readUInt32LE(at + 4);
  if (length > room || length < RECORD_HEADER_BYTES + bytes.readUInt16LE(at + 10)) return false;
  if (bytes.readUInt32LE(at) !== crc32(bytes.subarray(at + 4, at + length))) return false;
  return (
    bytes.readUInt16LE(at + 8) === FORMAT_VERSION &&
    bytes.readUInt32LE(at + 16) === partition &&
    readU53(bytes, at + 20) === offset
  );
}
