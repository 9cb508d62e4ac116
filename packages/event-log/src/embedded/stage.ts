import { crc32 } from 'node:zlib';
import { MemplaneError } from '@memplane/contracts';
import type { NewRecord } from '../port.ts';
import { DIGEST_BYTES, FORMAT_VERSION, RECORD_HEADER_BYTES, writeU53 } from './format.ts';
import { ENTRY_BYTES, ENTRY_FORMAT, ENTRY_WORDS, EntryArray, entryCheck } from './index-entry.ts';

/** A stage that grew beyond this gives its memory back after the commit, in bytes. */
const KEEP_BYTES = 512 * 1024;
const FIRST_BYTES = 4 * 1024;

/** The records of one partition that wait for a commit, encoded as the journal holds them. */
export class Stage {
  readonly partition: number;
  bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  used = 0;
  firstOffset = 0;
  entries = new EntryArray(16);

  constructor(partition: number) {
    this.partition = partition;
  }

  get count(): number {
    return this.entries.count;
  }

  /** Encodes one record; its place in the segment follows at {@link place}. */
  add(record: NewRecord, offset: number): void {
    const { key, value } = record;
    const start = this.used;
    const bytes = this.#room(RECORD_HEADER_BYTES + key.length * 3 + value.length);
    const keyBytes = bytes.write(key, start + RECORD_HEADER_BYTES, 'utf8');
    const length = RECORD_HEADER_BYTES + keyBytes + value.length;
    bytes.writeUInt32LE(length, start + 4);
    bytes.writeUInt16LE(FORMAT_VERSION, start + 8);
    bytes.writeUInt16LE(keyBytes, start + 10);
    bytes.writeUInt32LE(0, start + 12);
    bytes.writeUInt32LE(this.partition, start + 16);
    writeU53(bytes, offset, start + 20);
    bytes.writeBigUInt64LE(record.hlc, start + 28);
    bytes.set(record.idDigest, start + 36);
    bytes.set(record.contentDigest, start + 52);
    bytes.set(value, start + RECORD_HEADER_BYTES + keyBytes);
    bytes.writeUInt32LE(crc32(bytes.subarray(start + 4, start + length)), start);
    if (this.entries.count === 0) this.firstOffset = offset;
    const entry = this.entries.grow();
    writeEntry(this.entries, entry, bytes, start, length);
    this.used = start + length;
  }

  /** Completes the index entries: the stage's first byte lies at `position` of `segment`. */
  place(segment: number, position: number): void {
    const { words, count } = this.entries;
    for (let first = 0; first < count * ENTRY_WORDS; first += ENTRY_WORDS) {
      words[first + 1] = segment;
      words[first + 2] = (words[first + 2] ?? 0) + position;
      words[first] = entryCheck(words, first);
    }
  }

  encodedEntries(): Buffer {
    return this.entries.bytes.subarray(0, this.entries.count * ENTRY_BYTES);
  }

  reset(): void {
    this.used = 0;
    if (this.bytes.length > KEEP_BYTES) this.bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
    if (this.entries.bytes.length > KEEP_BYTES) this.entries = new EntryArray(16);
    this.entries.count = 0;
  }

  #room(length: number): Buffer {
    const needed = this.used + length;
    if (needed > this.bytes.length) {
      const bigger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
      this.bytes.copy(bigger, 0, 0, this.used);
      this.bytes = bigger;
    }
    return this.bytes;
  }
}

/** Fills an index entry from an encoded record; segment, position and check follow later. */
export function writeEntry(
  entries: EntryArray,
  entry: number,
  record: Buffer,
  at: number,
  length: number,
): void {
  const { bytes, words } = entries;
  const word = entry >>> 2;
  words[word + 2] = at;
  words[word + 3] = length;
  words[word + 4] = ENTRY_FORMAT | (record.readUInt16LE(at + 10) << 16);
  words[word + 5] = 0;
  // HLC and both digests lie in the record as they do in the entry
  record.copy(bytes, entry + 24, at + 28, at + RECORD_HEADER_BYTES);
}

/** @throws MemplaneError `invalid_request` for a record that no log could hold. */
export function checkRecord(record: NewRecord, partitions: number): void {
  const { partition } = record;
  if (!(Number.isInteger(partition) && partition >= 0 && partition < partitions)) {
    throw new MemplaneError('invalid_request', `There is no partition ${partition}`);
  }
  if (record.idDigest.length !== DIGEST_BYTES || record.contentDigest.length !== DIGEST_BYTES) {
    throw new MemplaneError('invalid_request', `A record's digests have ${DIGEST_BYTES} bytes`);
  }
  if (record.key.length > 0x5555) {
    throw new MemplaneError('invalid_request', 'The key of a record is too long');
  }
}
