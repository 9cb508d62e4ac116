/**
 * Order-preserving key encodings: bytes of two keys compare as their parts do, part by part.
 * Every key begins with its tenant. Text is compared by code point (UTF-8 order).
 */

const ESCAPE = 0xff;
const TERMINATOR = 0x00;
const TWO_32 = 0x1_0000_0000;

/** Builds keys, one after the other, in one growing buffer; each `finish` returns its own copy. */
export class KeyWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(initialBytes = 256) {
    this.#buffer = Buffer.allocUnsafe(Math.max(16, initialBytes));
  }

  /** Begins a key. A tenant holds no zero byte (it is `[a-z0-9-]{1,63}`), so one ends it. */
  begin(tenant: string): this {
    this.#length = 0;
    return this.raw(Buffer.from(tenant, 'latin1')).u8(0);
  }

  u8(value: number): this {
    this.#room(1);
    this.#buffer[this.#length++] = value;
    return this;
  }

  u16(value: number): this {
    this.#room(2);
    this.#length = this.#buffer.writeUInt16BE(value, this.#length);
    return this;
  }

  u32(value: number): this {
    this.#room(4);
    this.#length = this.#buffer.writeUInt32BE(value, this.#length);
    return this;
  }

  /** A whole number from 0 to 2⁵³ − 1 (checked), or a bigint below 2⁶⁴. */
  u64(value: number | bigint): this {
    this.#room(8);
    this.#length = writeU64(this.#buffer, value, this.#length);
    return this;
  }

  /** As {@link u64}, greatest first: a forward scan meets the newest. */
  u64Inverted(value: number | bigint): this {
    this.#room(8);
    const start = this.#length;
    this.#length = writeU64(this.#buffer, value, start);
    for (let i = start; i < start + 8; i++) this.#buffer[i] = 0xff ^ (this.#buffer[i] as number);
    return this;
  }

  /** Any finite or infinite double; −0 is written as 0, NaN is refused. */
  double(value: number): this {
    if (Number.isNaN(value)) throw new RangeError('NaN has no place in an order');
    this.#room(8);
    const start = this.#length;
    this.#length = this.#buffer.writeDoubleBE(value === 0 ? 0 : value, start);
    const first = this.#buffer[start] as number;
    if (first < 0x80) this.#buffer[start] = first | 0x80;
    else for (let i = start; i < start + 8; i++) this.#buffer[i] = ~(this.#buffer[i] as number);
    return this;
  }

  /** Text that further parts may follow: zero bytes are escaped, a terminator ends it. */
  text(value: string): this {
    return this.bytes(Buffer.from(value));
  }

  /** Bytes that further parts may follow, escaped and terminated like text. */
  bytes(value: Uint8Array): this {
    this.#room(value.length * 2 + 2);
    if (value.indexOf(TERMINATOR) === -1) {
      this.#buffer.set(value, this.#length);
      this.#length += value.length;
    } else {
      for (const byte of value) {
        this.#buffer[this.#length++] = byte;
        if (byte === TERMINATOR) this.#buffer[this.#length++] = ESCAPE;
      }
    }
    this.#buffer[this.#length++] = TERMINATOR;
    this.#buffer[this.#length++] = TERMINATOR;
    return this;
  }

  /** Bytes as they are: of fixed length, or the last part of a key. */
  raw(value: Uint8Array): this {
    this.#room(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** The key so far, as bytes of its own. */
  finish(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** Reads the parts of a key in the order in which they were written; throws `RangeError` past the end. */
export class KeyReader {
  readonly #key: Buffer;
  #at = 0;

  constructor(key: Buffer) {
    this.#key = key;
  }

  tenant(): string {
    const end = this.#key.indexOf(TERMINATOR, this.#at);
    if (end === -1) throw new RangeError('a key without a tenant');
    const tenant = this.#key.toString('latin1', this.#at, end);
    this.#at = end + 1;
    return tenant;
  }

  u8(): number {
    return this.#key.readUInt8(this.#skip(1));
  }

  u16(): number {
    return this.#key.readUInt16BE(this.#skip(2));
  }

  u32(): number {
    return this.#key.readUInt32BE(this.#skip(4));
  }

  /** @throws RangeError above 2⁵³ − 1: use {@link u64Big} where that may be. */
  u64(): number {
    const at = this.#skip(8);
    return joined(this.#key.readUInt32BE(at), this.#key.readUInt32BE(at + 4));
  }

  u64Big(): bigint {
    return this.#key.readBigUInt64BE(this.#skip(8));
  }

  u64Inverted(): number {
    const at = this.#skip(8);
    return joined(~this.#key.readUInt32BE(at) >>> 0, ~this.#key.readUInt32BE(at + 4) >>> 0);
  }

  double(): number {
    const at = this.#skip(8);
    const bytes = Buffer.from(this.#key.subarray(at, at + 8));
    const first = bytes[0] as number;
    if (first >= 0x80) bytes[0] = first & 0x7f;
    else for (let i = 0; i < 8; i++) bytes[i] = ~(bytes[i] as number);
    return bytes.readDoubleBE(0);
  }

  text(): string {
    return this.bytes().toString('utf8');
  }

  bytes(): Buffer {
    const parts: Buffer[] = [];
    for (;;) {
      const zero = this.#key.indexOf(TERMINATOR, this.#at);
      if (zero === -1 || zero + 1 >= this.#key.length)
        throw new RangeError('unended text in a key');
      const escaped = this.#key[zero + 1] === ESCAPE;
      parts.push(this.#key.subarray(this.#at, escaped ? zero + 1 : zero));
      this.#at = zero + 2;
      if (!escaped) return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
    }
  }

  /** What is left of the key. */
  rest(): Buffer {
    return this.#key.subarray(this.#skip(this.#key.length - this.#at));
  }

  #skip(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#key.length) throw new RangeError('a key is shorter than its parts');
    this.#at = at + bytes;
    return at;
  }
}

/** The first key after all that begin with the prefix; undefined when no key can follow. */
export function prefixEnd(prefix: Uint8Array): Buffer | undefined {
  const end = Buffer.from(prefix);
  for (let i = end.length - 1; i >= 0; i--) {
    const byte = end[i] as number;
    if (byte === 0xff) continue;
    end[i] = byte + 1;
    return end.subarray(0, i + 1);
  }
  return undefined;
}

function writeU64(buffer: Buffer, value: number | bigint, at: number): number {
  if (typeof value === 'bigint') return buffer.writeBigUInt64BE(value, at);
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a u64: ${value}`);
  buffer.writeUInt32BE(Math.floor(value / TWO_32), at);
  return buffer.writeUInt32BE(value >>> 0, at + 4);
}

function joined(high: number, low: number): number {
  const value = high * TWO_32 + low;
  if (!Number.isSafeInteger(value)) throw new RangeError('a u64 beyond 2^53 - 1');
  return value;
}
