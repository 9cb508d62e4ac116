import type { LogRecord } from '@memplane/event-log';

/** Before the key and the value of each record: offset (6), stamp (8), their lengths (2 and 4). */
const RECORD_BYTES = 20;
/** By so much the room grows, at least. */
const ROOM_STEP_BYTES = 1024 * 1024;

/**
 * The body of a segment while it is filled. Its room serves one segment after the other: fresh
 * memory for each would outlive its young generation, and have all of the old one collected.
 */
export class SegmentBody {
  #room = Buffer.alloc(0);
  #length = 0;
  #records = 0;
  #first: LogRecord | undefined;
  #lastOffset = -1;

  static of(records: readonly LogRecord[]): SegmentBody {
    const body = new SegmentBody();
    body.add(records);
    return body;
  }

  /** Undefined: it is empty. */
  get first(): Pick<LogRecord, 'partition' | 'offset'> | undefined {
    return this.#first;
  }

  get lastOffset(): number {
    return this.#lastOffset;
  }

  get records(): number {
    return this.#records;
  }

  /** As they are until it is cleared. */
  get bytes(): Buffer {
    return this.#room.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
    this.#records = 0;
    this.#first = undefined;
    this.#lastOffset = -1;
  }

  /** Adds the next records of its partition, in one piece: nothing of them is kept. */
  add(records: readonly LogRecord[]): void {
    let needed = this.#length;
    for (const { key, value } of records) {
      needed += RECORD_BYTES + Buffer.byteLength(key) + value.length;
    }
    if (needed > this.#room.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#room.length + ROOM_STEP_BYTES));
      this.bytes.copy(larger);
      this.#room = larger;
    }
    for (const record of records) this.#write(record);
    const [first] = records;
    if (first === undefined) return;
    this.#first ??= { ...first, value: NOTHING };
    this.#lastOffset = records.at(-1)?.offset ?? first.offset;
    this.#records += records.length;
  }

  #write({ offset, hlc, key, value }: LogRecord): void {
    const room = this.#room;
    const at = this.#length;
    const keyBytes = room.write(key, at + RECORD_BYTES);
    room.writeUIntBE(offset, at, 6);
    room.writeBigUInt64BE(hlc, at + 6);
    room.writeUInt16BE(keyBytes, at + 14);
    room.writeUInt32BE(value.length, at + 16);
    const valueAt = at + RECORD_BYTES + keyBytes;
    this.#length = valueAt + value.copy(room, valueAt);
  }
}

const NOTHING = Buffer.alloc(0);

/** The records of a body; their values are parts of it. */
export function decodeRecords(body: Buffer, partition: number): LogRecord[] {
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
