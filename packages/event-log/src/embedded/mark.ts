import { crc32 } from 'node:zlib';
import type { FileSystem, LogFile } from './file-system.ts';
import { FORMAT_VERSION, readU53, writeU53 } from './format.ts';
import { markFile } from './places.ts';

/** How far the journal is durable and the indexes are written. */
export interface Mark {
  readonly segment: number;
  /** Every frame that begins before this was synced, and its records are in the indexes. */
  readonly position: number;
  readonly nextCommit: number;
  readonly highestHlc: bigint;
  /** The next offset, per partition. */
  readonly ends: readonly number[];
}

const MAGIC = 0x4b524d4d;
const HEADER = 48;

/*
 * 0 magic · 4 u32 CRC-32 of 8… · 8 u16 format · 12 u32 partitions · 16 u32 segment · 20 u32 key id ·
 * 24 u64 position · 32 u64 next commit · 40 u64 highest HLC · 48 u64 end, per partition
 *
 * Written after each commit, not synced, in two slots by turns so that one is always whole. It
 * spares a restart the search for what the indexes lack; after a loss of power it may be old, or
 * newer than the indexes, and is checked against both.
 */
export class MarkFile {
  readonly #file: LogFile;
  readonly #slotBytes: number;
  readonly #partitions: number;
  readonly #slot: Buffer;
  #turn = 0;

  constructor(file: LogFile, partitions: number) {
    this.#file = file;
    this.#partitions = partitions;
    this.#slot = Buffer.alloc(HEADER + 8 * partitions);
    this.#slotBytes = Math.ceil(this.#slot.length / 512) * 512;
  }

  static open(fs: FileSystem, dir: string, partitions: number): MarkFile {
    return new MarkFile(fs.open(markFile(dir), 'create'), partitions);
  }

  static openToRead(fs: FileSystem, dir: string, partitions: number): MarkFile {
    return new MarkFile(fs.open(markFile(dir), 'read'), partitions);
  }

  write(mark: Mark): void {
    const bytes = this.#slot;
    bytes.writeUInt32LE(MAGIC, 0);
    bytes.writeUInt16LE(FORMAT_VERSION, 8);
    bytes.writeUInt32LE(this.#partitions, 12);
    bytes.writeUInt32LE(mark.segment, 16);
    writeU53(bytes, mark.position, 24);
    writeU53(bytes, mark.nextCommit, 32);
    bytes.writeBigUInt64LE(mark.highestHlc, 40);
    for (let p = 0; p < this.#partitions; p++) writeU53(bytes, mark.ends[p] ?? 0, HEADER + 8 * p);
    bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
    this.#file.writeSync(bytes, this.#turn * this.#slotBytes);
    this.#turn = 1 - this.#turn;
  }

  /** The newer intact slot, if there is one. */
  read(): Mark | undefined {
    const first = this.#readSlot(0);
    const second = this.#readSlot(1);
    if (first === undefined || second === undefined) return first ?? second;
    return first.nextCommit > second.nextCommit ? first : second;
  }

  close(): void {
    this.#file.close();
  }

  #readSlot(slot: number): Mark | undefined {
    const bytes = Buffer.alloc(this.#slot.length);
    const read = this.#file.readSync(bytes, bytes.length, slot * this.#slotBytes);
    if (read < bytes.length || bytes.readUInt32LE(0) !== MAGIC) return undefined;
    if (bytes.readUInt32LE(4) !== crc32(bytes.subarray(8))) return undefined;
    if (bytes.readUInt32LE(12) !== this.#partitions) return undefined;
    return {
      segment: bytes.readUInt32LE(16),
      position: readU53(bytes, 24),
      nextCommit: readU53(bytes, 32),
      highestHlc: bytes.readBigUInt64LE(40),
      ends: Array.from({ length: this.#partitions }, (_, p) => readU53(bytes, HEADER + 8 * p)),
    };
  }
}
