import { hlcToMs } from '@memplane/clock';
import { crc32c } from '@platformatic/kafka';
import type { NewRecord } from '../port.ts';
import { type Compression, pack } from './compression.ts';
import {
  CLOUDEVENT_TYPE,
  CONTENT_TYPE_HEADER,
  STAMP_BYTES,
  STAMP_HEADER,
  writeStamp,
} from './record-header.ts';
import { varintSize, writeVarint } from './varint.ts';

/** Where things stand in a record batch of format 2. */
export const BATCH = {
  baseOffset: 0,
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  count: 57,
  records: 61,
} as const;
export const BATCH_MAGIC = 2;

const HEADERS_PREFIX = headersPrefix();
const HEADERS_BYTES = HEADERS_PREFIX.length + STAMP_BYTES;
/** No record's own framing is larger. */
const FRAME_BYTES_MAX = 32 + HEADERS_BYTES;
const FIRST_BYTES = 16 * 1024;

/** Who sends a batch, and its place among those of its partition. */
export interface BatchIdentity {
  readonly producerId: bigint;
  readonly epoch: number;
  readonly sequence: number;
}

/** What a record adds to a batch at most, before compression. */
export function recordBytesMax(record: NewRecord): number {
  return record.value.length + Buffer.byteLength(record.key) + FRAME_BYTES_MAX;
}

/** The records of one batch, encoded as they come, so that their memory is free again at once. */
export class BatchEncoder {
  #bytes: Buffer;
  #length = 0;
  #baseMs = 0;
  #maxMs = 0;
  #count = 0;

  /** @param room of an encoder that is not used any more: {@link reuse} */
  constructor(room: Buffer = Buffer.allocUnsafe(FIRST_BYTES)) {
    this.#bytes = room;
  }

  /** Its memory, for another one: as large as its records needed. It must not be used after that. */
  reuse(): Buffer {
    return this.#bytes;
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes so far, before compression. */
  get length(): number {
    return this.#length;
  }

  add(record: NewRecord): void {
    const ms = hlcToMs(record.hlc);
    if (this.#count === 0) this.#baseMs = this.#maxMs = ms;
    else if (ms > this.#maxMs) this.#maxMs = ms;
    const keyBytes = Buffer.byteLength(record.key);
    const { value } = record;
    const body =
      1 +
      varintSize(ms - this.#baseMs) +
      varintSize(this.#count) +
      varintSize(keyBytes) +
      keyBytes +
      varintSize(value.length) +
      value.length +
      HEADERS_BYTES;
    const to = this.#room(body + 10);
    let at = writeVarint(to, this.#length, body);
    to[at++] = 0;
    at = writeVarint(to, at, ms - this.#baseMs);
    at = writeVarint(to, at, this.#count);
    at = writeVarint(to, at, keyBytes);
    at += to.write(record.key, at, 'utf8');
    at = writeVarint(to, at, value.length);
    to.set(value, at);
    at += value.length;
    to.set(HEADERS_PREFIX, at);
    at += HEADERS_PREFIX.length;
    writeStamp(to, at, record, ms);
    this.#length = at + STAMP_BYTES;
    this.#count++;
  }

  /** The batch as it goes to the broker. */
  finish(identity: BatchIdentity, compression: Compression): Buffer {
    const { bytes, bits } = pack(this.#bytes.subarray(0, this.#length), compression);
    const batch = Buffer.allocUnsafe(BATCH.records + bytes.length);
    batch.writeBigInt64BE(0n, BATCH.baseOffset);
    batch.writeInt32BE(batch.length - BATCH.leaderEpoch, BATCH.length);
    batch.writeInt32BE(-1, BATCH.leaderEpoch);
    batch.writeInt8(BATCH_MAGIC, BATCH.magic);
    batch.writeInt16BE(bits, BATCH.attributes);
    batch.writeInt32BE(this.#count - 1, BATCH.lastOffsetDelta);
    batch.writeBigInt64BE(BigInt(this.#baseMs), BATCH.baseTimestamp);
    batch.writeBigInt64BE(BigInt(this.#maxMs), BATCH.maxTimestamp);
    batch.writeBigInt64BE(identity.producerId, BATCH.producerId);
    batch.writeInt16BE(identity.epoch, BATCH.producerEpoch);
    batch.writeInt32BE(identity.sequence, BATCH.baseSequence);
    batch.writeInt32BE(this.#count, BATCH.count);
    batch.set(bytes, BATCH.records);
    batch.writeUInt32BE(crc32c(batch.subarray(BATCH.attributes)), BATCH.crc);
    return batch;
  }

  #room(bytes: number): Buffer {
    if (this.#length + bytes <= this.#bytes.length) return this.#bytes;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
    return larger;
  }
}

/** The headers of every record up to the value of the last one, which alone differs. */
function headersPrefix(): Buffer {
  const to = Buffer.alloc(256);
  let at = writeVarint(to, 0, 2);
  for (const [name, value] of [
    [CONTENT_TYPE_HEADER, CLOUDEVENT_TYPE],
    [STAMP_HEADER, undefined],
  ] as const) {
    at = writeVarint(to, at, name.length);
    at += to.write(name, at, 'latin1');
    at = writeVarint(to, at, value?.length ?? STAMP_BYTES);
    if (value !== undefined) at += to.write(value, at, 'latin1');
  }
  return Buffer.from(to.subarray(0, at));
}
