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
const EMPTY: Buffer = Buffer.alloc(0);

/**
 * Takes bytes as they come and gives whole commands: RESP arrays of bulk strings, or inline lines.
 * What is incomplete is kept, at most `commandBytesMax` of it.
 * Source: the Redis serialization protocol specification.
 */
export class RespParser {
  readonly #commandBytesMax: number;
  #bytes = EMPTY;
  #at = 0;

  constructor(commandBytesMax: number) {
    this.#commandBytesMax = commandBytesMax;
  }

  push(chunk: Buffer): void {
    const rest = this.#at === this.#bytes.length ? EMPTY : this.#bytes.subarray(this.#at);
    this.#bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    this.#at = 0;
  }

  /** The next command; undefined when there is no whole one. @throws RespProtocolError */
  next(): string[] | undefined {
    for (;;) {
      const start = this.#at;
      const command = this.#read();
      if (command === undefined) {
        this.#at = start;
        if (this.#bytes.length - start > this.#commandBytesMax) {
          throw new RespProtocolError('Protocol error: too big command');
        }
        return undefined;
      }
      // Empty lines and empty arrays are passed over, as Redis does.
      if (command.length > 0) return command;
    }
  }

  #read(): string[] | undefined {
    if (this.#at >= this.#bytes.length) return undefined;
    return this.#bytes[this.#at] === STAR ? this.#readArray() : this.#readInline();
  }

  #readArray(): string[] | undefined {
    const count = this.#readNumber('multibulk length', ARGUMENTS_MAX);
    if (count === undefined) return undefined;
    const words: string[] = [];
    let total = 0;
    for (let i = 0; i < count; i++) {
      if (this.#at >= this.#bytes.length) return undefined;
      if (this.#bytes[this.#at] !== DOLLAR) {
        throw new RespProtocolError("Protocol error: expected '$'");
      }
      const length = this.#readNumber('bulk length', this.#commandBytesMax);
      if (length === undefined) return undefined;
      if (length < 0) throw new RespProtocolError('Protocol error: invalid bulk length');
      total += length;
      if (total > this.#commandBytesMax) {
        throw new RespProtocolError('Protocol error: too big command');
      }
      const end = this.#at + length;
      if (end + 2 > this.#bytes.length) return undefined;
      words.push(this.#bytes.toString('utf8', this.#at, end));
      if (this.#bytes[end] !== CR || this.#bytes[end + 1] !== LF) {
        throw new RespProtocolError('Protocol error: expected CRLF');
      }
      this.#at = end + 2;
    }
    return words;
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
      if (value > max) throw new RespProtocolError(`Protocol error: invalid ${what}`);
    }
    if (at + 1 >= bytes.length) {
      if (at - first > 12) throw new RespProtocolError(`Protocol error: invalid ${what}`);
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
    const line = this.#bytes.toString('utf8', this.#at, end).trim();
    this.#at = end + 1;
    return line === '' ? [] : line.split(/\s+/);
  }
}
