import { isUtf8 } from 'node:buffer';

/** What Redis takes at most, and what the server under test was told to take. */
export interface Limits {
  readonly inlineBytesMax: number;
  readonly argumentsMax: number;
  readonly commandBytesMax: number;
}

export interface Reading {
  /** Whole commands in front of whatever is wrong or missing. */
  readonly commands: readonly (readonly Buffer[])[];
  /** Whether what follows them breaks the protocol; unknown where it ends in the middle of a line. */
  readonly broken: 'yes' | 'no' | 'maybe';
}

class Broken extends Error {}
class Short extends Error {
  readonly isSure: boolean;

  constructor(isSure: boolean) {
    super();
    this.isSure = isSure;
  }
}

/**
 * Requests as the specification has them, read from all bytes at once, as slowly as need be: what
 * the server's own parser, which takes bytes as they come, is compared with.
 * Source: the Redis serialization protocol specification; inline lines as `sdssplitargs` takes them.
 */
export function readRequests(bytes: Buffer, limits: Limits): Reading {
  const commands: Buffer[][] = [];
  let at = 0;
  try {
    while (at < bytes.length) {
      const [words, end] =
        bytes[at] === 0x2a ? readArray(bytes, at, limits) : readInline(bytes, at, limits);
      if (words.length > 0) commands.push(words);
      at = end;
    }
  } catch (error) {
    if (error instanceof Broken) return { commands, broken: 'yes' };
    if (error instanceof Short) return { commands, broken: error.isSure ? 'no' : 'maybe' };
    throw error;
  }
  return { commands, broken: 'no' };
}

function readArray(bytes: Buffer, start: number, limits: Limits): [Buffer[], number] {
  const [count, first] = readLength(bytes, start, limits.argumentsMax);
  const words: Buffer[] = [];
  let at = first;
  for (let i = 0; i < count; i++) {
    if (at - start > limits.commandBytesMax) throw new Broken();
    if (at >= bytes.length) throw new Short(true);
    if (bytes[at] !== 0x24) throw new Broken();
    const [length, from] = readLength(bytes, at, limits.commandBytesMax);
    if (length < 0 || from + length + 2 - start > limits.commandBytesMax) throw new Broken();
    if (from + length + 2 > bytes.length) {
      throw new Short(from + length >= bytes.length);
    }
    if (bytes.toString('latin1', from + length, from + length + 2) !== '\r\n') throw new Broken();
    words.push(bytes.subarray(from, from + length));
    at = from + length + 2;
  }
  return [words, at];
}

function readLength(bytes: Buffer, at: number, max: number): [number, number] {
  const rest = bytes.toString('latin1', at + 1, Math.min(bytes.length, at + 20));
  const whole = /^(-?\d{1,12})\r\n/.exec(rest);
  if (whole === null) {
    if (/^-?\d{0,12}\r?$/.test(rest)) throw new Short(/^-?\d{0,5}$/.test(rest));
    throw new Broken();
  }
  const [line, digits = ''] = whole;
  const number = Number(digits);
  if (Math.abs(number) > max) throw new Broken();
  return [number, at + 1 + line.length];
}

function readInline(bytes: Buffer, at: number, limits: Limits): [Buffer[], number] {
  const end = bytes.indexOf(0x0a, at);
  if ((end < 0 ? bytes.length : end) - at > limits.inlineBytesMax) throw new Broken();
  if (end < 0) throw new Short(true);
  return [splitWords(bytes.toString('latin1', at, end)), end + 1];
}

const ESCAPED: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' };
const GAP = /[ \t\n\v\f\r]*/y;
const PIECE =
  /"((?:\\[\s\S]|[^"\\])*)"(?=[ \t\n\v\f\r]|$)|'((?:\\'|\\(?!')|[^'\\])*)'(?=[ \t\n\v\f\r]|$)|[^ \t\n\r"']+/y;

/** Latin-1 in, bytes out. */
function splitWords(whole: string): Buffer[] {
  // A NUL ends the line, as in C.
  const [line = ''] = whole.split('\0');
  const words: Buffer[] = [];
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const found = pattern.exec(line);
    if (found !== null) at = pattern.lastIndex;
    return found;
  };
  for (;;) {
    take(GAP);
    if (at >= line.length) return words;
    let word = '';
    for (let isOpen = true; isOpen; ) {
      const piece = take(PIECE);
      if (piece === null && /^["']$/.test(line[at] ?? '')) throw new Broken();
      const [text = '', double, single] = piece ?? [];
      word += double === undefined ? (single?.replaceAll("\\'", "'") ?? text) : unescaped(double);
      isOpen = piece !== null && double === undefined && single === undefined;
    }
    words.push(Buffer.from(word, 'latin1'));
  }
}

function unescaped(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-fA-F]{2})|([\s\S]))/g,
    (_, hex: string | undefined, one: string) =>
      hex === undefined ? (ESCAPED[one] ?? one) : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** The command's name as the server takes it; undefined where an argument is no text. */
export function nameOf(words: readonly Buffer[]): string | undefined {
  return words.every((word) => isUtf8(word)) ? words[0]?.toString().toUpperCase() : undefined;
}
