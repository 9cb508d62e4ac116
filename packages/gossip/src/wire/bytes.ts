/** Bytes that no encoder wrote. Caught where packets come in, never seen outside of the package. */
export class Malformed extends Error {}

const TEXT = new TextDecoder('utf-8', { fatal: true });
const UTF8 = new TextEncoder();

/**
 * Reads bytes from front to back. Every length is checked against what is left before anything is
 * made of it, so a huge declared one costs nothing.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** @throws Malformed as all of these, when there is less. */
  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw new Malformed('ends early');
    this.#at += 1;
    return value;
  }

  /** A whole number up to 2^53 − 1, seven bits a byte, the lowest first. */
  number(max = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (value > max) throw new Malformed('number too large');
      if (byte < 0x80) return value;
      factor *= 128;
    }
    throw new Malformed('number too long');
  }

  /** A view of the next bytes, not a copy. */
  bytes(length: number): Uint8Array {
    if (length > this.left) throw new Malformed('ends early');
    const view = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return view;
  }

  /** A view of bytes that their length precedes. */
  sized(bytesMax: number): Uint8Array {
    return this.bytes(this.number(bytesMax));
  }

  text(bytesMax: number): string {
    const bytes = this.sized(bytesMax);
    try {
      return TEXT.decode(bytes);
    } catch {
      throw new Malformed('not UTF-8');
    }
  }
}

/** Writes bytes from front to back. */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacityBytes = 256) {
    this.#bytes = new Uint8Array(capacityBytes);
  }

  get length(): number {
    return this.#length;
  }

  byte(value: number): this {
    this.#room(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  number(value: number): this {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest % 128) | 0x80);
      rest = Math.floor(rest / 128);
    }
    return this.byte(rest);
  }

  bytes(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  sized(bytes: Uint8Array): this {
    return this.number(bytes.length).bytes(bytes);
  }

  text(text: string): this {
    return this.sized(UTF8.encode(text));
  }

  /** What was written, a view. */
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + bytes));
    grown.set(this.done());
    this.#bytes = grown;
  }
}
