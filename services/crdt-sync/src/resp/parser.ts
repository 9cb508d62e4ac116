import { isUtf8 } from 'node:buffer';
import { splitInline } from './inline.ts';

/** The peer broke the protocol; the text is answered, and the connection closed. */
export class RespProtocolError extends Error {
  override readonly name = 'RespProtocolError';
}

const CR = 0x0d;
const LF = 0x0a;
const STAR = 0x2a;
const DOLLAR = 0x24;
const INLINE_BYTES_MAX = 64 * 1024;
const ARGUMENTS_MAX = 1024 * 1024;
/** Of a length, zeros in front included. */
const DIGITS_MAX = 12;
const EMPTY: Buffer = Buffer.alloc(0);
const INCREMENT = Buffer.from('*3\r\n$9\r\nCRDT.INCR\r\n');

/** An array whose end has not come yet. */
interface OpenArray {
  readonly words: string[];
  readonly count: number;
  /** Of what has been taken of it. */
  bytes: number;
}

/**
 * Takes bytes as they come and gives whole commands: RESP arrays of bulk strings, or inline lines.
 * What is incomplete is kept, at most `commandBytesMax` of it, and is not read again from its start
 * when more comes: a command in a thousand packets costs no more than in one.
 * Source: the Redis serialization protocol specification.
 */
export class RespParser {
  readonly #commandBytesMax: number;
  /** What came and is not taken yet begins at `#at` and goes to the end. */
  #bytes = EMPTY;
  #at = 0;
  /** A buffer of its own, longer than what is in it, while something incomplete waits for more. */
  #room = EMPTY;
  #open: OpenArray | undefined;
  #nameBytes = EMPTY;
  /** What {@link nextIncrement} took. */
  name = '';
  by = 0;
  /** Whether all of what {@link next} gave last is valid UTF-8. */
  isUtf8 = true;
  /** Where it is not: the last argument that is none, as it came. */
  raw = EMPTY;

  constructor(commandBytesMax: number) {
    this.#commandBytesMax = commandBytesMax;
  }

  push(chunk: Buffer): void {
    const waiting = this.#bytes.length - this.#at;
    if (waiting === 0) {
      this.#bytes = chunk;
      this.#at = 0;
      this.#room = EMPTY;
      return;
    }
    const end = this.#bytes.length + chunk.length;
    if (end <= this.#room.length) {
      chunk.copy(this.#room, this.#bytes.length);
      this.#bytes = this.#room.subarray(0, end);
      return;
    }
    // Twice what is needed, so that bytes are moved once or twice in all, however they trickle in.
    const needed = waiting + chunk.length;
    if (needed > this.#room.length) this.#room = Buffer.allocUnsafeSlow(needed * 2);
    this.#bytes.copy(this.#room, 0, this.#at);
    chunk.copy(this.#room, waiting);
    this.#bytes = this.#room.subarray(0, needed);
    this.#at = 0;
  }

  /**
   * Whether the next command is a whole `CRDT.INCR name n`, as clients write it; then it is taken,
   * and `name` and `by` are its arguments. Anything else is left to {@link next}. This spares the
   * most frequent command most of its cost.
   */
  nextIncrement(): boolean {
    const bytes = this.#bytes;
    let at = this.#at;
    if (bytes.length - at < INCREMENT.length + 11 || this.#open !== undefined) return false;
    for (let i = 0; i < INCREMENT.length; i++) if (bytes[at + i] !== INCREMENT[i]) return false;
    at += INCREMENT.length;
    const nameLength = this.#shortLength(at);
    if (nameLength < 1) return false;
    at += nameLength < 10 ? 4 : nameLength < 100 ? 5 : 6;
    const nameAt = at;
    at += nameLength;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return false;
    at += 2;
    const length = this.#shortLength(at);
    if (length < 1 || length > 9) return false;
    at += 4;
    let by = 0;
    for (let i = 0; i < length; i++) {
      const digit = (bytes[at + i] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) return false;
      by = by * 10 + digit;
    }
    at += length;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return false;
    if (length > 1 && bytes[at - length] === 0x30) return false;
    if (!this.#takeName(nameAt, nameLength)) return false;
    this.by = by;
    this.#at = at + 2;
    return true;
  }

  /** The next command; undefined when there is no whole one. @throws RespProtocolError */
  next(): string[] | undefined {
    for (;;) {
      const command = this.#read();
      // Empty lines and empty arrays are passed over, as Redis does.
      if (command === undefined || command.length > 0) return command;
    }
  }

  /** The number of a `$N` line of one to three digits; 0 when it is not one. */
  #shortLength(at: number): number {
    const bytes = this.#bytes;
    if (bytes[at] !== DOLLAR) return 0;
    let value = 0;
    for (let i = at + 1; i < at + 5; i++) {
      const byte = bytes[i] ?? 0;
      if (byte === CR) return bytes[i + 1] === LF && bytes[at + 1] !== 0x30 ? value : 0;
      if (byte < 0x30 || byte > 0x39) return 0;
      value = value * 10 + byte - 0x30;
    }
    return 0;
  }

  /** ASCII only. Keeps the text of the name before when it is the same again, as it often is. */
  #takeName(at: number, length: number): boolean {
    const bytes = this.#bytes;
    const known = this.#nameBytes;
    if (known.length === length) {
      let i = 0;
      while (i < length && bytes[at + i] === known[i]) i++;
      if (i === length) return true;
    }
    for (let i = 0; i < length; i++) if ((bytes[at + i] ?? 0) >= 0x80) return false;
    this.#nameBytes = Buffer.from(bytes.subarray(at, at + length));
    this.name = this.#nameBytes.toString('latin1');
    return true;
  }

  #read(): string[] | undefined {
    if (this.#open !== undefined) return this.#readArray(this.#open);
    if (this.#at >= this.#bytes.length) return undefined;
    this.isUtf8 = true;
    if (this.#bytes[this.#at] !== STAR) return this.#readInline();
    const start = this.#at;
    const count = this.#readNumber('multibulk length', ARGUMENTS_MAX);
    if (count === undefined) return undefined;
    this.#open = { words: [], count, bytes: this.#at - start };
    return this.#readArray(this.#open);
  }

  #readArray(open: OpenArray): string[] | undefined {
    while (open.words.length < open.count) {
      const start = this.#at;
      const word = this.#readWord(open.bytes);
      if (word === undefined) {
        this.#at = start;
        return undefined;
      }
      open.bytes += this.#at - start;
      open.words.push(word);
    }
    this.#open = undefined;
    return open.words;
  }

  /** The next bulk string, of an array of which so many bytes were taken. */
  #readWord(before: number): string | undefined {
    const start = this.#at;
    if (before > this.#commandBytesMax) {
      throw new RespProtocolError('Protocol error: too big command');
    }
    if (start >= this.#bytes.length) return undefined;
    if (this.#bytes[start] !== DOLLAR) {
      const got = String.fromCharCode(this.#bytes[start] ?? 0);
      throw new RespProtocolError(`Protocol error: expected '$', got '${got}'`);
    }
    const length = this.#readNumber('bulk length', this.#commandBytesMax);
    if (length === undefined) return undefined;
    if (length < 0) throw new RespProtocolError('Protocol error: invalid bulk length');
    const end = this.#at + length;
    if (before + end + 2 - start > this.#commandBytesMax) {
      throw new RespProtocolError('Protocol error: too big command');
    }
    if (end + 2 > this.#bytes.length) return undefined;
    const word = this.#bytes.subarray(this.#at, end);
    if (this.#bytes[end] !== CR || this.#bytes[end + 1] !== LF) {
      throw new RespProtocolError('Protocol error: expected CRLF');
    }
    this.#at = end + 2;
    return this.#textOf(word);
  }

  #textOf(word: Buffer): string {
    if (!isUtf8(word)) {
      this.isUtf8 = false;
      this.raw = Buffer.from(word);
    }
    return word.toString();
  }

  /** The number of `*N` or `$N` and its line end. */
  #readNumber(what: string, max: number): number | undefined {
    const bytes = this.#bytes;
    let at = this.#at + 1;
    const isNegative = bytes[at] === 0x2d;
    if (isNegative) at++;
    let value = 0;
    const first = at;
    for (; at < bytes.length; at++) {
      const digit = (bytes[at] ?? 0) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      if (value > max || at - first >= DIGITS_MAX) {
        throw new RespProtocolError(`Protocol error: invalid ${what}`);
      }
    }
    if (at + 1 >= bytes.length) {
      if (at < bytes.length && bytes[at] !== CR) {
        throw new RespProtocolError(`Protocol error: invalid ${what}`);
      }
      return undefined;
    }
    if (at === first || bytes[at] !== CR || bytes[at + 1] !== LF) {
      throw new RespProtocolError(`Protocol error: invalid ${what}`);
    }
    this.#at = at + 2;
    return isNegative ? -value : value;
  }

  #readInline(): string[] | undefined {
    const end = this.#bytes.indexOf(LF, this.#at);
    const length = (end < 0 ? this.#bytes.length : end) - this.#at;
    if (length > INLINE_BYTES_MAX) {
      throw new RespProtocolError('Protocol error: too big inline request');
    }
    if (end < 0) return undefined;
    const line = this.#bytes.toString('latin1', this.#at, end);
    const words = splitInline(line);
    if (words === undefined) {
      throw new RespProtocolError('Protocol error: unbalanced quotes in request');
    }
    this.#at = end + 1;
    return words.map((word) => this.#textOf(Buffer.from(word, 'latin1')));
  }
}
